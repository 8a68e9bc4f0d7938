import type { Media, MediaRequest } from "@medianest/shared";

/** A person who may sign in. */
export interface Account {
  email: string;
  passwordHash: string;
}

/** What the API asks of the database. */
export interface Library {
  /** Fails when the database does not answer. */
  ping(): Promise<void>;
  listMedia(kind: Media["kind"] | undefined): Promise<Media[]>;
  findMedia(id: number): Promise<Media | undefined>;
  findAccount(email: string): Promise<Account | undefined>;
  listRequests(): Promise<MediaRequest[]>;
  addRequest(title: string, note: string, requestedBy: string): Promise<MediaRequest>;
  close(): Promise<void>;
}

/** What the API asks of the cache. A cache that is down is slow, not wrong. */
export interface Cache {
  /** Fails when the cache does not answer. */
  ping(): Promise<void>;
  get(key: string): Promise<string | undefined>;
  set(key: string, value: string, seconds: number): Promise<void>;
  close(): Promise<void>;
}
