// A formula: TeX to MathML. The renderer is loaded when the first formula appears.
import { useEffect, useRef } from "preact/hooks";

/** `tex` until the renderer is there, then the formula; what it cannot read stays TeX. */
export function Formula({ tex, display }: { tex: string; display: boolean }) {
  const place = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    let wanted = true;
    void import("temml").then(({ default: temml }) => {
      if (!wanted || !place.current) return;
      try {
        temml.render(tex, place.current, { displayMode: display, throwOnError: true, trust: false });
      } catch {
        place.current.textContent = tex;
      }
    });
    return () => {
      wanted = false;
    };
  }, [tex, display]);
  return (
    <span class={display ? "formula display" : "formula"} ref={place}>
      {tex}
    </span>
  );
}
