import type { RequestHandler } from "express";
import type { Logger } from "@medianest/shared";
import type { Metrics } from "./metrics.js";

/**
 * Lets the listed origins read answers. A preflight or a changing request from any other origin is refused and
 * logged; its plain reads are answered without the permission that a browser asks for.
 */
export function cors(allowed: string[], log: Logger, metrics: Metrics): RequestHandler {
  const origins = new Set(allowed);
  return (req, res, next) => {
    const origin = req.headers.origin;
    res.vary("Origin");
    if (origin === undefined) return next();
    if (!origins.has(origin)) {
      log.warn("origin denied", { origin: origin.slice(0, 200), method: req.method, path: req.path });
      metrics.deny("origin");
      if (req.method === "GET" || req.method === "HEAD") return next();
      res.status(403).json({ error: "this origin is not allowed" });
      return;
    }
    res.set("Access-Control-Allow-Origin", origin);
    res.set("Access-Control-Expose-Headers", "RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset");
    if (req.method !== "OPTIONS") return next();
    res.set("Access-Control-Allow-Methods", "GET, POST");
    res.set("Access-Control-Allow-Headers", "Authorization, Content-Type");
    res.set("Access-Control-Max-Age", "600");
    res.status(204).end();
  };
}
