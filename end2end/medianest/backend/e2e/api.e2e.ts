import { describe, expect, test } from "vitest";
// @ts-expect-error the scripts are plain JavaScript without types
import { setting } from "../../scripts/lib/env.mjs";

const api = process.env.E2E_API_URL ?? "";
const frontend = process.env.E2E_FRONTEND_URL ?? "";
const get = (path: string, headers: Record<string, string> = {}) => fetch(`${api}${path}`, { headers });
const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(`${api}${path}`, { method: "POST", headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify(body) });

describe("operations", () => {
  test("health names the version and both stores", async () => {
    const answer = await get("/health");
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ status: "ok", db: "up", redis: "up", version: expect.stringMatching(/^\d+\.\d+\.\d+/) });
  });
  test("metrics are closed without the token", async () => {
    expect((await get("/metrics")).status).toBe(401);
  });
  test("metrics open with the token", async () => {
    const answer = await get("/metrics", { Authorization: `Bearer ${setting("METRICS_TOKEN")}` });
    expect(answer.status).toBe(200);
    expect(await answer.text()).toContain("process_cpu_seconds_total");
  });
  test("an unknown path is a 404 in JSON", async () => {
    const answer = await get("/nothing");
    expect(answer.status).toBe(404);
    expect(await answer.json()).toHaveProperty("error");
  });
});

describe("library", () => {
  test("the seed is listed", async () => {
    const { items } = (await (await get("/api/media")).json()) as { items: { title: string }[] };
    expect(items.map((item) => item.title)).toContain("Metropolis");
  });
  test("a second reading comes from the cache", async () => {
    await get("/api/media?kind=series");
    expect((await get("/api/media?kind=series")).headers.get("x-cache")).toBe("hit");
  });
  test("series can be asked for alone", async () => {
    const { items } = (await (await get("/api/media?kind=series")).json()) as { items: { kind: string }[] };
    expect(new Set(items.map((item) => item.kind))).toEqual(new Set(["series"]));
  });
  test("one title can be opened", async () => {
    const { items } = (await (await get("/api/media")).json()) as { items: { id: number; title: string }[] };
    expect(await (await get(`/api/media/${items[0]?.id}`)).json()).toMatchObject({ title: items[0]?.title });
  });
  test.each(["0", "999999", "-1", "x", "99999999999999"])("the title %s does not exist", async (id) => {
    expect((await get(`/api/media/${id}`)).status).toBe(404);
  });
  test("an unknown kind is refused", async () => {
    expect((await get("/api/media?kind=opera")).status).toBe(400);
  });
});

describe("people", () => {
  test("a wrong password is refused", async () => {
    expect((await post("/api/auth/login", { email: `nobody-${Date.now()}@example.com`, password: "x" })).status).toBe(401);
  });
  test("a request needs a signed-in person", async () => {
    expect((await post("/api/requests", { title: "Faust" })).status).toBe(401);
  });
  test("the seed account signs in, asks for a title and finds it again", async () => {
    const signIn = await post("/api/auth/login", { email: "qa@medianest.example.com", password: setting("STAGING_PASSWORD") });
    expect(signIn.status).toBe(200);
    const { token } = (await signIn.json()) as { token: string };
    const bearer = { Authorization: `Bearer ${token}` };
    expect(await (await get("/api/me", bearer)).json()).toEqual({ email: "qa@medianest.example.com" });
    const note = `asked at ${Date.now()}`;
    expect((await post("/api/requests", { title: "Faust", note }, bearer)).status).toBe(201);
    const { items } = (await (await get("/api/requests", bearer)).json()) as { items: { note: string }[] };
    expect(items.map((item) => item.note)).toContain(note);
  });
});

describe("doors", () => {
  test("a strange origin may not send", async () => {
    expect((await post("/api/auth/login", {}, { Origin: "https://stranger.example.net" })).status).toBe(403);
  });
  test("the frontend's origin may read", async () => {
    const origin = (setting("ALLOWED_ORIGINS") as string).split(",")[0] ?? "";
    expect((await get("/api/media", { Origin: origin })).headers.get("access-control-allow-origin")).toBe(origin);
  });
  test("rate limits are announced", async () => {
    expect(Number((await get("/api/media")).headers.get("ratelimit-limit"))).toBeGreaterThan(0);
  });
});

describe.skipIf(frontend === "")("frontend", () => {
  test("the page loads", async () => {
    const answer = await fetch(frontend);
    expect(answer.status).toBe(200);
    expect(await answer.text()).toContain("MediaNest");
  });
  test("the page is told where the API is", async () => {
    expect(await (await fetch(`${frontend}/config.json`)).json()).toHaveProperty("apiUrl");
  });
});
