import { ipKeyGenerator, rateLimit } from "express-rate-limit";
import type { Request, RequestHandler } from "express";
import type { Logger } from "@medianest/shared";
import type { Metrics } from "./metrics.js";

interface Tools {
  log: Logger;
  metrics: Metrics;
}

/** At most `perMinute` requests from one address; the answer carries the `RateLimit-*` headers. */
export function perAddress(perMinute: number, tools: Tools): RequestHandler {
  return limiter(perMinute, 60, tools, addressOf);
}

/** At most `attempts` to sign in to one account within `seconds`, whatever address they come from. */
export function perAccount(attempts: number, seconds: number, tools: Tools): RequestHandler {
  return limiter(attempts, seconds, tools, (req) => {
    const email: unknown = req.body?.email;
    return typeof email === "string" ? `account:${email.toLowerCase().slice(0, 200)}` : addressOf(req);
  });
}

function addressOf(req: Request): string {
  return ipKeyGenerator(req.ip ?? "unknown");
}

function limiter(limit: number, seconds: number, { log, metrics }: Tools, keyGenerator: (req: Request) => string): RequestHandler {
  return rateLimit({
    windowMs: seconds * 1000,
    limit,
    keyGenerator,
    standardHeaders: "draft-6",
    legacyHeaders: false,
    handler: (req, res) => {
      log.warn("rate limited", { method: req.method, path: req.originalUrl.slice(0, 200) });
      metrics.deny("rate");
      res.status(429).json({ error: "too many requests, try again later" });
    },
  });
}
