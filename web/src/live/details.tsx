// For those who want to see how it works: the two roles, and the last events.
import { t } from "../i18n";
import { useStore } from "../store";
import type { Live } from "./live";

/** Of `live`; closed until somebody opens it. */
export function Details({ live }: { live: Live }) {
  const { scene, log } = useStore(live);
  return (
    <details class="details">
      <summary>{t.details}</summary>
      <h2>{t.roles}</h2>
      <p class="hint">{t.rolesHelp}</p>
      <dl class="roles">
        <div class={scene.speaking ? "active" : ""}>
          <dt>{t.generator}</dt>
          <dd data-role="generator">{t.roleSpeaks(scene.generator.toUpperCase())}</dd>
        </div>
        <div class={scene.hearing ? "active" : ""}>
          <dt>{t.monitor}</dt>
          <dd data-role="monitor">{t.roleListens(scene.monitor.toUpperCase())}</dd>
        </div>
      </dl>
      <h2>{t.events}</h2>
      <pre class="log" tabIndex={0}>
        {log.join("\n")}
      </pre>
    </details>
  );
}
