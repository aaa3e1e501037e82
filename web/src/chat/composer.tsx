// Where the user writes, records, and adds pictures, clips and sounds.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { server } from "../api/server";
import { Icon } from "../icons";
import { t } from "../i18n";
import { ACCEPTED, mediaOf, MOST_MEDIA } from "../media/files";
import { MicrophoneError } from "../media/microphone";
import { recordClip, recordVoice, type Recording } from "../media/recorder";
import { useStore } from "../store";
import type { Chat } from "./conversation";
import { Tray } from "./media";
import type { Medium } from "./model";
import { RecordingBar } from "./recording";

/** Asks in `chat`; `children` stand below the field. */
export function Composer({ chat, children }: { chat: Chat; children: ComponentChildren }) {
  const { busy, speak } = useStore(chat);
  const { model } = useStore(server);
  const [text, setText] = useState("");
  const [media, setMedia] = useState<Medium[]>([]);
  const [problem, setProblem] = useState("");
  const [recording, setRecording] = useState<Recording | null>(null);
  const add = async (files: Iterable<File>) => {
    const { media: added, complaints } = await mediaOf(files);
    setMedia((before) => [...before, ...added].slice(0, MOST_MEDIA));
    setProblem([...complaints, ...(media.length + added.length > MOST_MEDIA ? [t.tooMany] : [])].join("; "));
  };
  const dragging = useDropped((files) => void add(files));
  const send = (more: Medium[] = []) => {
    const all = [...media, ...more];
    if (busy || !model || (!text.trim() && !all.length)) return;
    void chat.send(text.trim(), all);
    setText("");
    setMedia([]);
    setProblem("");
  };
  const record = async (start: () => Promise<Recording>) => {
    setProblem("");
    try {
      setRecording(await start());
    } catch (error) {
      setProblem(error instanceof MicrophoneError ? t.noMicrophone[error.problem] : String(error));
    }
  };
  const finish = async () => {
    const medium = await recording!.finish();
    setRecording(null);
    if (medium.kind === "audio") send([medium]);
    else setMedia([...media, medium]);
  };
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      {dragging && <div class="drop">{t.dropHere}</div>}
      {problem && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      <Tray media={media} onRemove={(gone) => setMedia(media.filter((medium) => medium !== gone))} />
      {recording ? (
        <RecordingBar
          recording={recording}
          onFinish={() => void finish()}
          onCancel={() => {
            recording.cancel();
            setRecording(null);
          }}
        />
      ) : (
        <div class="row">
          <FileButton onFiles={(files) => void add(files)} />
          <RoundButton icon="mic" name={t.recordVoice} onClick={() => void record(recordVoice)} />
          <RoundButton icon="camera" name={t.recordClip} onClick={() => void record(recordClip)} />
          <textarea
            aria-label={t.message}
            placeholder={t.placeholder}
            rows={1}
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
            onPaste={(event) => {
              const files = event.clipboardData?.files;
              if (!files?.length) return;
              event.preventDefault();
              void add(files);
            }}
            onKeyDown={(event) => {
              if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
              event.preventDefault();
              send();
            }}
          />
          {busy ? (
            <button type="button" class="round primary" aria-label={t.stop} title={t.stop} onClick={() => chat.stop()}>
              <Icon name="stop" />
            </button>
          ) : (
            <button
              type="submit"
              class="round primary"
              aria-label={t.send}
              title={t.send}
              disabled={!model || (!text.trim() && !media.length)}
            >
              <Icon name="send" />
            </button>
          )}
        </div>
      )}
      <div class="below">
        <label>
          <input type="checkbox" checked={speak} onChange={(event) => void chat.setSpeak(event.currentTarget.checked)} />{" "}
          {t.speakReplies}
        </label>
        {children}
      </div>
    </form>
  );
}

function RoundButton({ icon, name, onClick }: { icon: "mic" | "camera" | "clip"; name: string; onClick: () => void }) {
  return (
    <button type="button" class="round quiet" aria-label={name} title={name} onClick={onClick}>
      <Icon name={icon} />
    </button>
  );
}

function FileButton({ onFiles }: { onFiles: (files: FileList) => void }) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <input
        ref={input}
        type="file"
        hidden
        multiple
        accept={ACCEPTED}
        aria-label={t.attach}
        onChange={(event) => {
          if (event.currentTarget.files) onFiles(event.currentTarget.files);
          event.currentTarget.value = "";
        }}
      />
      <RoundButton icon="clip" name={t.attach} onClick={() => input.current!.click()} />
    </>
  );
}

/** Files that are dropped anywhere on the page; whether some are held over it. */
function useDropped(onFiles: (files: FileList) => void): boolean {
  const [over, setOver] = useState(false);
  const latest = useRef(onFiles);
  latest.current = onFiles;
  useEffect(() => {
    const has = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
    const drag = (event: DragEvent) => {
      if (!has(event)) return;
      event.preventDefault();
      setOver(true);
    };
    const leave = (event: DragEvent) => event.relatedTarget === null && setOver(false);
    const drop = (event: DragEvent) => {
      setOver(false);
      if (!has(event)) return;
      event.preventDefault();
      latest.current(event.dataTransfer!.files);
    };
    addEventListener("dragover", drag);
    addEventListener("dragleave", leave);
    addEventListener("drop", drop);
    return () => {
      removeEventListener("dragover", drag);
      removeEventListener("dragleave", leave);
      removeEventListener("drop", drop);
    };
  }, []);
  return over;
}
