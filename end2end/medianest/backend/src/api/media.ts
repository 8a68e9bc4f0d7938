import { Router } from "express";
import type { Media } from "@medianest/shared";
import type { Cache, Library } from "./ports.js";

const CACHE_SECONDS = 30;

/** The library itself: reading only, the list through the cache. */
export function mediaRoutes(library: Library, cache: Cache): Router {
  const router = Router();
  router.get("/media", async (req, res) => {
    const kind = req.query.kind;
    if (kind !== undefined && kind !== "film" && kind !== "series") {
      res.status(400).json({ error: "kind is film or series" });
      return;
    }
    const key = `media:${kind ?? "all"}`;
    const cached = await cache.get(key).catch(() => undefined);
    const items = cached === undefined ? await library.listMedia(kind) : (JSON.parse(cached) as Media[]);
    if (cached === undefined) await cache.set(key, JSON.stringify(items), CACHE_SECONDS).catch(() => undefined);
    res.set("X-Cache", cached === undefined ? "miss" : "hit").json({ items });
  });
  router.get("/media/:id", async (req, res) => {
    const id = Number(req.params.id);
    const item = Number.isSafeInteger(id) && id > 0 && id < 2 ** 31 ? await library.findMedia(id) : undefined;
    if (item === undefined) res.status(404).json({ error: "there is no such title" });
    else res.json(item);
  });
  return router;
}
