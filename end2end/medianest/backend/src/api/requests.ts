import { Router, type RequestHandler } from "express";
import type { Library } from "./ports.js";

/** Wishes of signed-in people; the whole feature is behind `FEATURE_FLAG_REQUESTS`. */
export function requestRoutes(library: Library, enabled: boolean, signedIn: RequestHandler): Router {
  const router = Router();
  router.use("/requests", (_req, res, next) => {
    if (enabled) next();
    else res.status(404).json({ error: "requests are switched off" });
  });
  router.get("/requests", signedIn, async (_req, res) => {
    res.json({ items: await library.listRequests() });
  });
  router.post("/requests", signedIn, async (req, res) => {
    const { title, note } = (req.body ?? {}) as Record<string, unknown>;
    if (typeof title !== "string" || title.trim() === "" || title.length > 200) {
      res.status(400).json({ error: "title is needed, at most 200 characters" });
      return;
    }
    const text = typeof note === "string" ? note.slice(0, 1000) : "";
    res.status(201).json(await library.addRequest(title.trim(), text, res.locals.email as string));
  });
  return router;
}
