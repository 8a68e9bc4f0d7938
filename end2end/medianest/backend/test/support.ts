import type { AddressInfo } from "node:net";
import { Logger, type Media, type MediaRequest } from "@medianest/shared";
import { createApp } from "../src/api/app.js";
import type { Account, Cache, Library } from "../src/api/ports.js";
import { readConfig, type Config } from "../src/config.js";
import { hashPassword } from "../src/platform/crypto.js";

export const ORIGIN = "http://127.0.0.1:3001";
export const TOKEN = "metrics-token-of-the-tests";

export const environment: Record<string, string> = {
  DATABASE_URL: "postgres://nobody@localhost/none",
  REDIS_URL: "redis://localhost",
  REDIS_PASSWORD: "cache",
  JWT_SECRET: "j".repeat(32),
  JWT_ISSUER: "issuer",
  JWT_AUDIENCE: "audience",
  ENCRYPTION_KEY: "e".repeat(32),
  METRICS_TOKEN: TOKEN,
  ALLOWED_ORIGINS: ORIGIN,
  FEATURE_FLAG_REQUESTS: "true",
};

/** A library in memory. */
export class MemoryLibrary implements Library {
  down = false;
  reads = 0;
  readonly media: Media[] = [
    { id: 1, title: "Metropolis", kind: "film", year: 1927 },
    { id: 2, title: "Les Vampires", kind: "series", year: 1915 },
  ];
  readonly accounts: Account[] = [{ email: "qa@example.com", passwordHash: hashPassword("right") }];
  readonly requests: MediaRequest[] = [];

  async ping() {
    if (this.down) throw new Error("the database is down");
  }
  async listMedia(kind: Media["kind"] | undefined) {
    await this.ping();
    this.reads += 1;
    return this.media.filter((item) => kind === undefined || item.kind === kind);
  }
  async findMedia(id: number) {
    return this.media.find((item) => item.id === id);
  }
  async findAccount(email: string) {
    return this.accounts.find((account) => account.email === email);
  }
  async listRequests() {
    return this.requests;
  }
  async addRequest(title: string, note: string, requestedBy: string) {
    const request = { id: this.requests.length + 1, title, note, requestedBy, createdAt: new Date(0).toISOString() };
    this.requests.push(request);
    return request;
  }
  async close() {}
}

/** A cache in memory that can be switched off. */
export class MemoryCache implements Cache {
  mode: "up" | "down" | "silent" = "up";
  readonly #values = new Map<string, string>();

  async ping() {
    if (this.mode === "silent") await new Promise<never>(() => {});
    if (this.mode === "down") throw new Error("the cache is down");
  }
  async get(key: string) {
    await this.ping();
    return this.#values.get(key);
  }
  async set(key: string, value: string) {
    await this.ping();
    this.#values.set(key, value);
  }
  async close() {}
}

/** The API on a free port, over stores in memory. */
export async function startApi(changes: Partial<Config> = {}, faults: string[] = []) {
  const library = new MemoryLibrary();
  const cache = new MemoryCache();
  const lines: string[] = [];
  const app = createApp({
    config: { ...readConfig(environment), ...changes },
    release: { version: "9.8.7", commit: "abc", faults },
    library,
    cache,
    log: new Logger("backend", (line) => lines.push(line)),
  });
  const server = app.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const stop = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return { url, library, cache, lines, stop };
}
