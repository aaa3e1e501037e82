// State outside of components, and the hook that shows it. Used by the chat and the live conversation.
import { useEffect, useState } from "preact/hooks";

/** Holds one immutable state; tells its listeners of every change. */
export class Store<S extends object> {
  private listeners = new Set<() => void>();

  constructor(public state: S) {}

  /** Replace some fields. */
  set(change: Partial<S>): void {
    this.state = { ...this.state, ...change };
    for (const listener of this.listeners) listener();
  }

  /** Call `listener` after each change, until the returned function is called. */
  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

/** The store's state; the component is drawn again when it changes. */
export function useStore<S extends object>(store: Store<S>): S {
  const [state, setState] = useState(store.state);
  useEffect(() => {
    setState(store.state);
    return store.subscribe(() => setState(store.state));
  }, [store]);
  return state;
}
