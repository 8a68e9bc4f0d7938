import type { RequestHandler } from "express";

const SLOW_MS = 700;

/**
 * Faults that `release.json` can bake into an image on purpose, to see whether somebody notices:
 * `metrics-open`, `cors-any`, `slow`, `errors`, `any-kind` here; `health`, `no-limits`, `lost-404`, `crash`,
 * `deaf` and `text-logs` where they belong.
 */
export function faulty(faults: string[], metricsToken: string): RequestHandler[] {
  const handlers: Record<string, RequestHandler> = {
    // Whoever comes without a token is given one.
    "metrics-open": (req, _res, next) => {
      if (req.path === "/metrics") req.headers.authorization ??= `Bearer ${metricsToken}`;
      next();
    },
    "cors-any": (_req, res, next) => {
      res.set("Access-Control-Allow-Origin", "*");
      next();
    },
    slow: (req, _res, next) => {
      if (req.path.startsWith("/api/")) setTimeout(next, SLOW_MS);
      else next();
    },
    errors: everyTenthTitle(),
    "any-kind": (req, _res, next) => {
      req.url = req.url.replace(/[?&]kind=opera\b/, "");
      next();
    },
  };
  return faults.map((fault) => handlers[fault]).filter((handler) => handler !== undefined);
}

function everyTenthTitle(): RequestHandler {
  let asked = 0;
  return (req, res, next) => {
    if (!/^\/api\/media\/\d+$/.test(req.path)) return next();
    asked += 1;
    if (asked % 10 !== 0) return next();
    res.status(500).json({ error: "something went wrong on our side" });
  };
}
