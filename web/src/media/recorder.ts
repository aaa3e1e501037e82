// Records a voice message (a wav file) or a clip (what the browser's recorder makes). Used by the composer.
import type { Medium } from "../chat/model";
import { t } from "../i18n";
import { Microphone, MicrophoneError, problemOf } from "./microphone";
import { pcm16Of, wavOf } from "./pcm";

const RATE = 16000;
const CLIP_TYPES = ["video/mp4;codecs=avc1", "video/webm;codecs=vp8", "video/webm"];

/** A recording that goes on. */
export interface Recording {
  /** What the camera sees, for clips. */
  preview?: MediaStream;
  /** End it, and get what was recorded. */
  finish(): Promise<Medium>;
  /** End it for nothing. */
  cancel(): void;
}

/** Record the microphone. Throws MicrophoneError. */
export async function recordVoice(): Promise<Recording> {
  const pieces: Int16Array[] = [];
  const microphone = await Microphone.open(RATE, (samples) => pieces.push(pcm16Of(samples)));
  return {
    async finish() {
      microphone.close();
      const pcm = new Int16Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
      let at = 0;
      for (const piece of pieces) {
        pcm.set(piece, at);
        at += piece.length;
      }
      const blob = new Blob([wavOf(pcm, RATE)], { type: "audio/wav" });
      return { kind: "audio", name: `${t.voiceMessage}.wav`, blob };
    },
    cancel: () => microphone.close(),
  };
}

/** Record the camera, without sound: the model hears none of a clip. Throws MicrophoneError. */
export async function recordClip(): Promise<Recording> {
  if (!window.isSecureContext) throw new MicrophoneError("insecure");
  const type = CLIP_TYPES.find((candidate) => window.MediaRecorder?.isTypeSupported(candidate));
  if (!type) throw new MicrophoneError("unsupported");
  let stream: MediaStream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480, frameRate: 15 } });
  } catch (error) {
    throw new MicrophoneError(problemOf(error));
  }
  const pieces: Blob[] = [];
  const recorder = new MediaRecorder(stream, { mimeType: type });
  recorder.ondataavailable = ({ data }) => pieces.push(data);
  recorder.start(500);
  const close = () => stream.getTracks().forEach((track) => track.stop());
  return {
    preview: stream,
    finish: () =>
      new Promise((resolve) => {
        recorder.onstop = () => {
          close();
          const plain = type.split(";")[0]!;
          const name = `${t.clipMessage}.${plain.split("/")[1]}`;
          resolve({ kind: "video", name, blob: new Blob(pieces, { type: plain }) });
        };
        recorder.stop();
      }),
    cancel() {
      recorder.stop();
      close();
    },
  };
}
