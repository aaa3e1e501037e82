// Conversations in the browser's IndexedDB. Without it (a private window) nothing is kept and the page says so.
import type { Conversation } from "./model";

const STORE = "conversations";

/** What the list shows. */
export type Summary = Pick<Conversation, "id" | "title" | "updated">;

let opened: Promise<IDBDatabase> | null = null;

function database(): Promise<IDBDatabase> {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open("vita", 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

async function run<T>(mode: IDBTransactionMode, work: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const store = (await database()).transaction(STORE, mode).objectStore(STORE);
  return new Promise((resolve, reject) => {
    const request = work(store);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** Whether conversations can be kept here. */
export async function canKeep(): Promise<boolean> {
  return database().then(
    () => true,
    () => false,
  );
}

/** Keep a conversation as it is now. */
export async function keep(conversation: Conversation): Promise<void> {
  await run("readwrite", (store) => store.put(conversation));
}

/** A kept conversation. */
export async function find(id: string): Promise<Conversation | undefined> {
  return run("readonly", (store) => store.get(id) as IDBRequest<Conversation | undefined>);
}

/** Throw one away. */
export async function remove(id: string): Promise<void> {
  await run("readwrite", (store) => store.delete(id));
}

/** All of them, the last one first. */
export async function list(): Promise<Summary[]> {
  const all = await run("readonly", (store) => store.getAll() as IDBRequest<Conversation[]>);
  return all.map(({ id, title, updated }) => ({ id, title, updated })).sort((a, b) => b.updated - a.updated);
}
