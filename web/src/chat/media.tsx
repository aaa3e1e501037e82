// Pictures, clips and sounds as they are shown in the chat.
import { useEffect, useState } from "preact/hooks";
import { Icon } from "../icons";
import { t } from "../i18n";
import type { Medium } from "./model";

/** An address for a blob, as long as the component lives. */
function useUrl(blob: Blob): string {
  const [url, setUrl] = useState("");
  useEffect(() => {
    const made = URL.createObjectURL(blob);
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [blob]);
  return url;
}

/** One of them, to look at or to play. */
export function MediumView({ medium }: { medium: Medium }) {
  const url = useUrl(medium.blob);
  if (!url) return null;
  if (medium.kind === "image") return <img src={url} alt={t.attachedImage(medium.name)} />;
  if (medium.kind === "video") {
    return <video src={url} controls muted loop playsInline preload="metadata" aria-label={t.attachedVideo(medium.name)} />;
  }
  return <audio src={url} controls preload="metadata" aria-label={t.attachedAudio(medium.name)} />;
}

/** All of a turn. */
export function MediaView({ media }: { media: Medium[] }) {
  if (!media.length) return null;
  return (
    <div class="media">
      {media.map((medium) => (
        <MediumView medium={medium} />
      ))}
    </div>
  );
}

/** Those that are about to be sent, each with a button that takes it out. */
export function Tray({ media, onRemove }: { media: Medium[]; onRemove: (medium: Medium) => void }) {
  if (!media.length) return null;
  return (
    <ul class="tray">
      {media.map((medium) => (
        <li>
          <MediumView medium={medium} />
          <button type="button" class="quiet" aria-label={t.removeAttachment(medium.name)} onClick={() => onRemove(medium)}>
            <Icon name="close" />
          </button>
        </li>
      ))}
    </ul>
  );
}
