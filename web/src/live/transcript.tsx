// What was said in a live conversation: captions of everything that was spoken, and turns that were not for the model.
import { useRef } from "preact/hooks";
import { duration, t } from "../i18n";
import { useEnd } from "../scroll";
import { useStore } from "../store";
import type { Live } from "./live";
import { heardAndCut, type Line } from "./scene";

/** The lines of `live`. */
export function Transcript({ live }: { live: Live }) {
  const { scene } = useStore(live);
  const scroller = useRef<HTMLDivElement>(null);
  const watch = useEnd(scroller, scene.lines);
  return (
    <div class="lines" role="log" aria-label={t.transcript} tabIndex={0} ref={scroller} onScroll={watch}>
      {scene.lines.map((line) => (
        <LineView key={line.id} line={line} live={live} />
      ))}
    </div>
  );
}

function LineView({ line, live }: { line: Line; live: Live }) {
  if (line.kind === "answer") return <AnswerLine line={line} />;
  if (line.kind === "typed") return <div class="line typed">{line.text}</div>;
  const seconds = duration(Math.max(0, (line.to ?? 0) - (line.from ?? 0)));
  if (line.kind === "spoken") {
    return (
      <div class="line spoken" title={t.spokenTurn(seconds)}>
        {line.text || t.spokenTurn(seconds)}
      </div>
    );
  }
  return (
    <div class="line noise">
      <span>
        {t.notForMe} · {line.text || seconds}
      </span>
      <button type="button" disabled={!live.isConnected} onClick={() => live.wasForYou(line)}>
        {t.wasForYou}
      </button>
    </div>
  );
}

function AnswerLine({ line }: { line: Line }) {
  const { heard, cut } = heardAndCut(line);
  const latency = line.latencyMs === undefined ? "" : t.turnLatency(duration(line.latencyMs));
  return (
    <div class="line reply" title={latency} data-latency={line.latencyMs?.toFixed(0)}>
      {heard}
      {cut && (
        <s>
          <span class="for-readers">({t.cutOff}) </span>
          {cut}
        </s>
      )}
      {latency && <span class="for-readers"> ({latency})</span>}
    </div>
  );
}
