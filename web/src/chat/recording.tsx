// What the composer shows while something is recorded.
import { useEffect, useRef, useState } from "preact/hooks";
import { Icon } from "../icons";
import { t } from "../i18n";
import type { Recording } from "../media/recorder";

interface Props {
  recording: Recording;
  onFinish: () => void;
  onCancel: () => void;
}

/** The seconds, what the camera sees, and the two ways out. */
export function RecordingBar({ recording, onFinish, onCancel }: Props) {
  const [seconds, setSeconds] = useState(0);
  const video = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    const timer = setInterval(() => setSeconds((before) => before + 1), 1000);
    return () => clearInterval(timer);
  }, []);
  useEffect(() => {
    if (video.current && recording.preview) video.current.srcObject = recording.preview;
  }, [recording]);
  return (
    <div class="row recording">
      <span class="red" />
      <span role="timer">
        {t.recording} · {seconds} s
      </span>
      {recording.preview && <video ref={video} autoplay muted playsInline aria-label={t.preview} />}
      <button type="button" onClick={onCancel}>
        {t.cancelRecording}
      </button>
      <button type="button" class="primary" ref={(button) => button?.focus()} onClick={onFinish}>
        <Icon name="check" /> {t.finishRecording}
      </button>
    </div>
  );
}
