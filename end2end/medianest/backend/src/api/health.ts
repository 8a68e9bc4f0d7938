import { Router } from "express";
import type { Health, Release } from "@medianest/shared";
import type { Cache, Library } from "./ports.js";

const PROBE_MS = 1500;

/** `/health`: 200 while database and cache answer and no fault was baked in, else 503. */
export function healthRoutes(release: Release, library: Library, cache: Cache): Router {
  const began = Date.now();
  return Router().get("/health", async (_req, res) => {
    const [db, redis] = await Promise.all([state(library.ping()), state(cache.ping())]);
    const good = db === "up" && redis === "up" && !release.faults.includes("health");
    const health: Health = {
      status: good ? "ok" : "degraded",
      version: release.version,
      commit: release.commit,
      db,
      redis,
      faults: release.faults,
      uptimeSeconds: Math.round((Date.now() - began) / 1000),
    };
    res.status(good ? 200 : 503).set("Cache-Control", "no-store").json(health);
  });
}

async function state(ping: Promise<void>): Promise<"up" | "down"> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<"down">((resolve) => {
    timer = setTimeout(() => resolve("down"), PROBE_MS);
  });
  try {
    return await Promise.race([ping.then(() => "up" as const, () => "down" as const), late]);
  } finally {
    clearTimeout(timer);
  }
}
