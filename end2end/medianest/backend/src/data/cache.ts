import { createClient } from "@redis/client";
import type { Logger } from "@medianest/shared";
import type { Cache } from "../api/ports.js";

/** The cache in Redis. It connects in the background and fails fast while there is no connection. */
export class RedisCache implements Cache {
  readonly #client;

  constructor(url: string, password: string, log: Logger) {
    this.#client = createClient({
      url,
      password,
      disableOfflineQueue: true,
      socket: { connectTimeout: 3000, reconnectStrategy: (tries) => Math.min(100 * 2 ** tries, 2000) },
    });
    this.#client.on("error", (error: Error) => log.warn("redis", { cause: error.message }));
    this.#client.connect().catch(() => undefined);
  }

  async ping(): Promise<void> {
    await this.#client.ping();
  }

  async get(key: string): Promise<string | undefined> {
    return (await this.#client.get(key)) ?? undefined;
  }

  async set(key: string, value: string, seconds: number): Promise<void> {
    await this.#client.set(key, value, { EX: seconds });
  }

  async close(): Promise<void> {
    if (this.#client.isOpen) this.#client.destroy();
  }
}
