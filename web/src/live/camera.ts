// Camera or screen: a stream to look at, and a frame now and then as a JPEG. Used by `live.ts`.

export type Source = "none" | "camera" | "screen";
const LONGEST_SIDE = 640;
const EVERY_MS = 1000;

/** What the model sees, until `close`. */
export class Camera {
  private video = document.createElement("video");
  private canvas = document.createElement("canvas");
  private timer: number;

  private constructor(
    readonly stream: MediaStream,
    private onFrame: (url: string) => void,
  ) {
    this.video.muted = true;
    this.video.playsInline = true;
    this.video.srcObject = stream;
    void this.video.play();
    this.timer = window.setInterval(() => this.take(), EVERY_MS);
  }

  /** Open one; `onFrame` gets a data URL every second, `onEnd` is called when the user stops sharing. Throws. */
  static async open(
    source: "camera" | "screen",
    device: string,
    onFrame: (url: string) => void,
    onEnd: () => void,
  ): Promise<Camera> {
    const stream =
      source === "screen"
        ? await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: 5 } })
        : await navigator.mediaDevices.getUserMedia({
            video: {
              width: { ideal: 640 },
              height: { ideal: 480 },
              ...(device ? { deviceId: { exact: device } } : { facingMode: "environment" }),
            },
          });
    stream.getVideoTracks()[0]!.onended = onEnd;
    return new Camera(stream, onFrame);
  }

  /** Let it go. */
  close(): void {
    clearInterval(this.timer);
    for (const track of this.stream.getTracks()) track.stop();
    this.video.srcObject = null;
  }

  private take(): void {
    const { videoWidth: width, videoHeight: height } = this.video;
    if (!width || !height) return;
    const scale = Math.min(1, LONGEST_SIDE / Math.max(width, height));
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(height * scale);
    this.canvas.getContext("2d")!.drawImage(this.video, 0, 0, this.canvas.width, this.canvas.height);
    this.onFrame(this.canvas.toDataURL("image/jpeg", 0.85));
  }
}
