// Faults of the API.
import type { Case } from "../case.ts";

/** The backend with faults in its files; undone by restoring the release's file. */
const faulty = (parts: Omit<Case, "needs" | "apply" | "undo"> & { faults: string[] }): Case => {
  const { faults, ...rest } = parts;
  return { ...rest, needs: "stack", apply: (stage) => stage.faults(...faults), undo: (stage) => stage.faults() };
};

export const api: Case[] = [
  faulty({
    name: "metrics-open",
    what: "/metrics answers without the token",
    faults: ["metrics-open"],
    breaks: ["F.3", "H.c4"],
    says: /metrics-gated \(fail\).*without/i,
  }),
  faulty({
    name: "cors-star",
    what: "every origin may read the API",
    faults: ["cors-any"],
    breaks: ["F.3", "H.c4"],
    says: /cors \(fail\).*\*/,
  }),
  faulty({
    name: "limits-off",
    what: "login attempts are not limited",
    faults: ["no-limits"],
    breaks: ["F.3"],
    says: /login-limit \(fail\)/,
    checks: ["login-limit"],
  }),
  faulty({
    name: "slow",
    what: "p95 is over 700 ms",
    faults: ["slow"],
    breaks: ["F.2"],
    says: /load-p95 \(fail\).*p95 is ([7-9]\d\d|\d{4})/,
    checks: ["load-p95"],
  }),
  faulty({
    name: "errors",
    what: "more than one response in a hundred is an error",
    faults: ["errors"],
    breaks: ["F.2"],
    says: /load-errors \(fail\)/,
    checks: ["load-errors"],
  }),
  faulty({
    name: "e2e-one-fails",
    what: "one end-to-end test of twenty-two fails, which is 95.45 %: nothing may change",
    faults: ["any-kind"],
    breaks: [],
    checks: ["e2e"],
  }),
  faulty({
    name: "e2e-two-fail",
    what: "two end-to-end tests of twenty-two fail, which is 90.91 %",
    faults: ["any-kind", "lost-404"],
    breaks: ["F.1", "H.c3"],
    says: /e2e \(fail\).*90\.9/,
    checks: ["e2e"],
  }),
  faulty({
    name: "unhealthy",
    what: "/health answers 503",
    faults: ["health"],
    breaks: ["E.1", "F.1", "H.c3"],
    says: /backend.*unhealthy|unhealthy.*backend/,
  }),
  faulty({
    name: "crash-loop",
    what: "the backend exits every twenty seconds",
    faults: ["crash"],
    breaks: ["E.1"],
    says: /backend.*restart/,
  }),
];
// The Docker engine reports "unhealthy" only after five failed health checks.
const unhealthy = api.find((one) => one.name === "unhealthy")!;
unhealthy.apply = async (stage) => {
  await stage.faults("health");
  await stage.health("backend", "unhealthy");
};
