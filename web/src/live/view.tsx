// The live conversation as it is seen.
import { useEffect, useRef, useState } from "preact/hooks";
import { server } from "../api/server";
import { Icon } from "../icons";
import { t } from "../i18n";
import { useStore } from "../store";
import { Controls } from "./controls";
import { Details } from "./details";
import { Live } from "./live";
import { Transcript } from "./transcript";

const live = new Live();

/** Only one conversation: it goes on while the chat is looked at. */
export function LiveView() {
  const state = useStore(live);
  const { model } = useStore(server);
  const isOn = state.phase !== "off";
  return (
    <section class="live" aria-label={t.live}>
      <div class="stage">
        <Orb live={live} />
        <p class={`phase ${state.phase}`} role="status" data-phase={state.phase}>
          {t.liveStates[state.phase]}
        </p>
        {state.muted && isOn && <p class="hint">{t.muted}</p>}
        {state.view && <View stream={state.view} />}
      </div>
      {!isOn && state.scene.lines.length === 0 && <p class="hint intro">{t.liveIntro}</p>}
      {state.phase === "reconnecting" && (
        <p class="notice" role="status">
          {t.connectionLost}
        </p>
      )}
      {[state.problem, state.cameraProblem, state.scene.error].filter(Boolean).map((words) => (
        <p class="problem" role="alert">
          {words}
        </p>
      ))}
      <Transcript live={live} />
      {isOn && <Typing ready={state.phase !== "connecting" && state.phase !== "reconnecting"} />}
      <div class="bar">
        {isOn ? (
          <button type="button" class="end" onClick={() => live.stop()}>
            <Icon name="phone" /> {t.end}
          </button>
        ) : (
          <button type="button" class="primary start" disabled={!model} onClick={() => void live.start()}>
            <Icon name="mic" /> {t.start}
          </button>
        )}
        <Controls live={live} />
      </div>
      <Details live={live} />
    </section>
  );
}

/** The state at one look: colour and movement; the words stand below. */
function Orb({ live }: { live: Live }) {
  const { phase } = useStore(live);
  const place = useRef<HTMLDivElement>(null);
  useEffect(
    () =>
      live.level.subscribe(() => {
        const size = Math.min(1, Math.sqrt(live.level.state.value) * 2);
        place.current?.style.setProperty("--level", size.toFixed(2));
      }),
    [live],
  );
  return (
    <div class={`orb ${phase}`} ref={place} aria-hidden="true">
      <i />
    </div>
  );
}

function View({ stream }: { stream: MediaStream }) {
  const video = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    video.current!.srcObject = stream;
  }, [stream]);
  return <video ref={video} class="view" autoplay muted playsInline aria-label={t.preview} />;
}

function Typing({ ready }: { ready: boolean }) {
  const [text, setText] = useState("");
  const submit = (event: Event) => {
    event.preventDefault();
    if (!ready || !text.trim()) return;
    live.type(text.trim());
    setText("");
  };
  return (
    <form class="typing row" onSubmit={submit}>
      <input aria-label={t.typeHere} placeholder={t.typeHere} value={text} onInput={(event) => setText(event.currentTarget.value)} />
      <button type="submit" class="round primary" aria-label={t.send} disabled={!ready || !text.trim()}>
        <Icon name="send" />
      </button>
    </form>
  );
}
