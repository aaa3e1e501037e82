// What can be set in a live conversation: microphone, volume, camera.
import { useEffect, useState } from "preact/hooks";
import { Icon, type IconName } from "../icons";
import { t } from "../i18n";
import { useStore } from "../store";
import type { Source } from "./camera";
import type { Live } from "./live";

const SOURCES: [Source, IconName][] = [
  ["none", "none"],
  ["camera", "camera"],
  ["screen", "screen"],
];

/** The controls of `live`. */
export function Controls({ live }: { live: Live }) {
  const { phase, muted, volume, source, microphone, camera } = useStore(live);
  const devices = useDevices(phase !== "off" && phase !== "connecting", source);
  const canShareScreen = typeof navigator.mediaDevices?.getDisplayMedia === "function";
  return (
    <div class="controls">
      <Choice
        name={t.microphone}
        devices={devices.filter(({ kind }) => kind === "audioinput")}
        chosen={microphone}
        onChoose={(id) => void live.useMicrophone(id)}
      />
      <button
        type="button"
        class="round"
        aria-pressed={muted}
        aria-label={muted ? t.unmute : t.mute}
        title={muted ? t.unmute : t.mute}
        onClick={() => live.setMuted(!muted)}
      >
        <Icon name={muted ? "micOff" : "mic"} />
      </button>
      <label class="volume" title={t.volume}>
        <Icon name="speaker" />
        <input
          type="range"
          min="0"
          max="1"
          step="0.05"
          aria-label={t.volume}
          value={volume}
          onInput={(event) => live.setVolume(Number(event.currentTarget.value))}
        />
      </label>
      <div class="sources" role="group" aria-label={t.picture}>
        {SOURCES.filter(([name]) => name !== "screen" || canShareScreen).map(([name, icon]) => (
          <button
            type="button"
            class="round quiet"
            aria-pressed={source === name}
            aria-label={`${t.picture}: ${t.source[name]}`}
            title={`${t.picture}: ${t.source[name]}`}
            onClick={() => void live.show(name)}
          >
            <Icon name={icon} />
          </button>
        ))}
      </div>
      {source === "camera" && (
        <Choice
          name={t.cameraDevice}
          devices={devices.filter(({ kind }) => kind === "videoinput")}
          chosen={camera}
          onChoose={(id) => void live.show("camera", id)}
        />
      )}
    </div>
  );
}

interface ChoiceProps {
  name: string;
  devices: MediaDeviceInfo[];
  chosen: string;
  onChoose: (id: string) => void;
}

function Choice({ name, devices, chosen, onChoose }: ChoiceProps) {
  const named = devices.filter(({ label, deviceId }) => label && deviceId !== "default");
  if (named.length < 2) return null;
  return (
    <select aria-label={name} value={chosen} onChange={(event) => onChoose(event.currentTarget.value)}>
      <option value="">{t.defaultDevice}</option>
      {named.map(({ deviceId, label }) => (
        <option value={deviceId}>{label}</option>
      ))}
    </select>
  );
}

/** Microphones and cameras; browsers name them once one of them is open. */
function useDevices(isOpen: boolean, source: Source): MediaDeviceInfo[] {
  const [devices, setDevices] = useState<MediaDeviceInfo[]>([]);
  useEffect(() => {
    const media = navigator.mediaDevices;
    if (!media) return;
    const read = () => void media.enumerateDevices().then(setDevices);
    read();
    media.addEventListener("devicechange", read);
    return () => media.removeEventListener("devicechange", read);
  }, [isOpen, source]);
  return devices;
}
