// Files that the user gives: what they are, whether they fit, their bytes in base64. Used by the chat.
import type { Medium, MediaKind } from "../chat/model";
import { t } from "../i18n";

export const ACCEPTED = "image/*,video/*,audio/*";
export const MOST_MEDIA = 16;
const MOST_BYTES = 24 * 1024 * 1024;
const LONGEST_SIDE = 2048;
const SENT_AS_IT_IS = new Set(["image/png", "image/jpeg", "image/webp", "image/gif"]);

/** What a file is, by its type; null if it is no medium. */
export function kindOf(type: string): MediaKind | null {
  const kind = type.split("/")[0];
  return kind === "image" || kind === "video" || kind === "audio" ? kind : null;
}

/** Media out of files, and a line for each file that is none. Large pictures are scaled down. */
export async function mediaOf(files: Iterable<File>): Promise<{ media: Medium[]; complaints: string[] }> {
  const media: Medium[] = [];
  const complaints: string[] = [];
  for (const file of files) {
    const kind = kindOf(file.type);
    const blob = kind === "image" ? await fitting(file) : file;
    if (!kind || !blob) complaints.push(t.notAMedium(file.name));
    else if (blob.size > MOST_BYTES) complaints.push(t.tooLarge(file.name));
    else media.push({ kind, name: file.name || t.attachedImage(""), blob });
  }
  return { media, complaints };
}

/** A picture that is small enough to be sent and of a kind that the server reads; null for what is no picture. */
async function fitting(file: Blob): Promise<Blob | null> {
  let picture: ImageBitmap;
  try {
    picture = await createImageBitmap(file);
  } catch {
    return file.type === "image/svg+xml" ? null : file; // the server may know it all the same
  }
  const scale = Math.min(1, LONGEST_SIDE / Math.max(picture.width, picture.height));
  if (scale === 1 && SENT_AS_IT_IS.has(file.type)) return file;
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(picture.width * scale));
  canvas.height = Math.max(1, Math.round(picture.height * scale));
  canvas.getContext("2d")!.drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  const type = file.type === "image/png" ? "image/png" : "image/jpeg";
  return new Promise((resolve) => canvas.toBlob(resolve, type, 0.9));
}

const encoded = new WeakMap<Blob, Promise<string>>();

/** The bytes of a blob in base64; each blob is encoded once. */
export function base64(blob: Blob): Promise<string> {
  let found = encoded.get(blob);
  if (!found) {
    found = blob.arrayBuffer().then((buffer) => base64OfBytes(new Uint8Array(buffer)));
    encoded.set(blob, found);
  }
  return found;
}

/** Bytes in base64. */
export function base64OfBytes(bytes: Uint8Array): string {
  let text = "";
  for (let start = 0; start < bytes.length; start += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(start, start + 0x8000));
  }
  return btoa(text);
}

/** Base64 as bytes. */
export function bytesOfBase64(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let index = 0; index < binary.length; index++) bytes[index] = binary.charCodeAt(index);
  return bytes;
}
