// Keeps a list at its end while it grows, unless the user has scrolled up. Used by the chat and the live view.
import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";

const NEAR_PX = 80;

/** For the scrolling element `place`; `content` is what changes. Returns what its onScroll has to call. */
export function useEnd(place: RefObject<HTMLElement | null>, content: { length: number }): () => void {
  const atEnd = useRef(true);
  const filled = useRef(false);
  const lastTop = useRef(0);
  filled.current = content.length > 0;
  const follow = () => {
    if (place.current && atEnd.current) place.current.scrollTop = filled.current ? place.current.scrollHeight : 0;
  };
  useEffect(follow, [content]);
  useEffect(() => {
    const element = place.current!;
    const observer = new ResizeObserver(follow);
    observer.observe(element);
    for (const event of ["load", "loadedmetadata"]) element.addEventListener(event, follow, true); // of media in it
    return () => observer.disconnect();
  }, []);
  return () => {
    const { scrollHeight, scrollTop, clientHeight } = place.current!;
    const isNear = scrollHeight - scrollTop - clientHeight < NEAR_PX;
    if (isNear || scrollTop < lastTop.current) atEnd.current = isNear; // content that has grown since is no scrolling up
    lastTop.current = scrollTop;
  };
}
