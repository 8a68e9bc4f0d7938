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
  return limiter(perMinute, tools, addressOf);
}

/** At most `perMinute` sign-in attempts on one account, whatever address they come from. */
export function perAccount(perMinute: number, tools: Tools): RequestHandler {
  return limiter(perMinute, tools, (req) => {
    const email: unknown = req.body?.email;
    return typeof email === "string" ? `account:${email.toLowerCase().slice(0, 200)}` : addressOf(req);
  });
}

function addressOf(req: Request): string {
  return ipKeyGenerator(req.ip ?? "unknown");
}

function limiter(limit: number, { log, metrics }: Tools, keyGenerator: (req: Request) => string): RequestHandler {
  return rateLimit({
    windowMs: 60_000,
    limit,
    keyGenerator,
    standardHeaders: "draft-6",
    legacyHeaders: false,
    handler: (req, res) => {
      log.warn("rate limited", { method: req.method, path: req.originalUrl.slice(0, 200) });
      metrics.deny("rate");
      res.status(429).json({ error: "too many requests, try again in a minute" });
    },
  });
}
