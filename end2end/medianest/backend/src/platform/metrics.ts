import type { RequestHandler } from "express";
import { Counter, Histogram, Registry, collectDefaultMetrics } from "prom-client";
import type { Release } from "@medianest/shared";

/** The numbers that Prometheus scrapes, in a registry of their own. */
export class Metrics {
  readonly registry = new Registry();
  readonly #duration: Histogram<"method" | "route" | "status">;
  readonly #denied: Counter<"reason">;

  constructor(release: Release) {
    this.registry.setDefaultLabels({ service: "backend", version: release.version });
    collectDefaultMetrics({ register: this.registry });
    this.#duration = new Histogram({
      name: "http_request_duration_seconds",
      help: "Time from request to the end of the answer",
      labelNames: ["method", "route", "status"],
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.6, 1, 2.5],
      registers: [this.registry],
    });
    this.#denied = new Counter({
      name: "http_requests_denied_total",
      help: "Requests turned away, by reason",
      labelNames: ["reason"],
      registers: [this.registry],
    });
  }

  deny(reason: "origin" | "rate" | "token"): void {
    this.#denied.inc({ reason });
  }

  /** Times every request under its route pattern, so that ids do not become labels. */
  timing(): RequestHandler {
    return (req, res, next) => {
      const stop = this.#duration.startTimer();
      res.on("finish", () => {
        const route: unknown = req.route?.path;
        stop({ method: req.method, route: typeof route === "string" ? `${req.baseUrl}${route}` : "none", status: String(res.statusCode) });
      });
      next();
    };
  }
}
