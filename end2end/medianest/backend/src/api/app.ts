import express, { type ErrorRequestHandler, type Express } from "express";
import type { Logger, Release } from "@medianest/shared";
import type { Config } from "../config.js";
import { cors } from "../platform/cors.js";
import { sameText } from "../platform/crypto.js";
import { faulty } from "../platform/faults.js";
import { perAccount, perAddress } from "../platform/limits.js";
import { Metrics } from "../platform/metrics.js";
import { healthRoutes } from "./health.js";
import { mediaRoutes } from "./media.js";
import type { Cache, Library } from "./ports.js";
import { requestRoutes } from "./requests.js";
import { bearerOf, sessionRoutes, signedIn } from "./session.js";

/** What the API needs from outside. */
export interface Parts {
  config: Config;
  release: Release;
  library: Library;
  cache: Cache;
  log: Logger;
}

/** The whole API as one Express app; opens no port and no connection. */
export function createApp({ config, release, library, cache, log }: Parts): Express {
  const app = express();
  const metrics = new Metrics(release);
  const tools = { log, metrics };
  app.disable("x-powered-by");
  app.use((_req, res, next) => {
    res.set({ "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'", "X-Release": release.version });
    next();
  });
  app.use(metrics.timing());
  for (const fault of faulty(release.faults, config.metricsToken)) app.use(fault);
  app.use(cors(config.allowedOrigins, log, metrics));
  app.use(healthRoutes(release, library, cache));
  app.get("/metrics", async (req, res) => {
    if (!sameText(bearerOf(req), config.metricsToken)) {
      metrics.deny("token");
      res.status(401).set("WWW-Authenticate", "Bearer").json({ error: "a bearer token is needed" });
      return;
    }
    res.set("Content-Type", metrics.registry.contentType).send(await metrics.registry.metrics());
  });
  app.use("/api", perAddress(config.ratePerMinute, tools), express.json({ limit: "32kb" }));
  app.use("/api", mediaRoutes(library, cache));
  const logins = release.faults.includes("no-limits") ? 1_000_000 : config.logins;
  app.use("/api", sessionRoutes(library, config.jwt, log, perAccount(logins, config.loginSeconds, tools)));
  app.use("/api", requestRoutes(library, config.flags.requests === true, signedIn(config.jwt)));
  app.get("/api/features", (_req, res) => {
    res.json({ flags: config.flags, integrations: config.integrations });
  });
  app.use((_req, res) => {
    res.status(release.faults.includes("lost-404") ? 200 : 404).json({ error: "there is nothing here" });
  });
  app.use(failures(log));
  return app;
}

/** Says to the caller that it failed, and to the log why. */
function failures(log: Logger): ErrorRequestHandler {
  return (error: { status?: number; message?: string }, req, res, next) => {
    if (res.headersSent) return next(error);
    const status = error.status !== undefined && error.status >= 400 && error.status < 500 ? error.status : 500;
    if (status === 500) log.error("request failed", { method: req.method, path: req.path, cause: String(error.message) });
    res.status(status).json({ error: status === 500 ? "something went wrong on our side" : "the request could not be read" });
  };
}
