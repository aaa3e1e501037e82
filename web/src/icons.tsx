// The page's icons, as paths of a 24 x 24 grid. They are decoration: buttons carry their own names.
const PATHS = {
  plus: "M12 5v14M5 12h14",
  send: "M4 12l16-8-6 16-3-6z",
  stop: "M7 7h10v10H7z",
  mic: "M12 3a3 3 0 0 1 3 3v6a3 3 0 0 1-6 0V6a3 3 0 0 1 3-3zM5 11a7 7 0 0 0 14 0M12 18v3",
  micOff: "M9 9v3a3 3 0 0 0 5 2M15 11V6a3 3 0 0 0-6-1M5 11a7 7 0 0 0 11 5.600M19 11v1M12 18v3M4 4l16 16",
  camera: "M3 7h12v10H3zM15 11l6-4v10l-6-4z",
  screen: "M3 5h18v11H3zM8 20h8M12 16v4",
  none: "M4 4l16 16M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z",
  clip: "M20 11l-8 8a5 5 0 0 1-7-7l8-8a3.500 3.500 0 0 1 5 5l-8 8a2 2 0 0 1-3-3l7-7",
  copy: "M9 9h11v11H9zM15 9V4H4v11h5",
  check: "M5 12l5 5 9-10",
  retry: "M4 12a8 8 0 1 0 2.500-5.800M4 4v5h5",
  edit: "M4 20l1-5L16 4l4 4L9 19z",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  save: "M12 4v11M7 11l5 5 5-5M4 20h16",
  menu: "M4 6h16M4 12h16M4 18h16",
  close: "M6 6l12 12M18 6L6 18",
  speaker: "M4 9v6h4l5 4V5L8 9zM16 9a4 4 0 0 1 0 6M18.500 6.500a8 8 0 0 1 0 11",
  phone: "M5 4h4l2 5-2.500 1.500a11 11 0 0 0 5 5L15 13l5 2v4a1 1 0 0 1-1 1A15 15 0 0 1 4 5a1 1 0 0 1 1-1z",
} as const;

export type IconName = keyof typeof PATHS;

/** A drawn icon, 20 px unless CSS says otherwise. */
export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
