import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ORIGIN, TOKEN, startApi } from "./support.js";

let api: Awaited<ReturnType<typeof startApi>>;
beforeEach(async () => {
  api = await startApi();
});
afterEach(async () => {
  await api.stop();
});

const get = (path: string, headers: Record<string, string> = {}) => fetch(`${api.url}${path}`, { headers });
const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(`${api.url}${path}`, { method: "POST", headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify(body) });
const signIn = async () => {
  const answer = await post("/api/auth/login", { email: "QA@example.com", password: "right" });
  return { Authorization: `Bearer ${((await answer.json()) as { token: string }).token}` };
};

describe("health", () => {
  test("is 200 with version and commit while all is well", async () => {
    const answer = await get("/health");
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ status: "ok", version: "9.8.7", commit: "abc", db: "up", redis: "up", faults: [] });
  });
  test("is 503 and names the database when that is down", async () => {
    api.library.down = true;
    const answer = await get("/health");
    expect(answer.status).toBe(503);
    expect(await answer.json()).toMatchObject({ status: "degraded", db: "down", redis: "up" });
  });
  test("does not wait for a cache that says nothing", async () => {
    api.cache.mode = "silent";
    const answer = await get("/health");
    expect(answer.status).toBe(503);
    expect(await answer.json()).toMatchObject({ redis: "down" });
  });
  test("is 503 in an image that was built with the fault", async () => {
    const bad = await startApi({}, ["health"]);
    const answer = await fetch(`${bad.url}/health`);
    await bad.stop();
    expect(answer.status).toBe(503);
    expect(await answer.json()).toMatchObject({ db: "up", redis: "up", faults: ["health"] });
  });
});

describe("metrics", () => {
  test("refuse without and with a wrong bearer", async () => {
    expect((await get("/metrics")).status).toBe(401);
    expect((await get("/metrics", { Authorization: "Bearer wrong" })).status).toBe(401);
    expect((await get("/metrics", { Authorization: `Basic ${TOKEN}` })).status).toBe(401);
  });
  test("count requests by route pattern, not by address", async () => {
    await get("/api/media/1");
    const answer = await get("/metrics", { Authorization: `Bearer ${TOKEN}` });
    expect(answer.status).toBe(200);
    expect(await answer.text()).toContain('route="/api/media/:id",status="200"');
  });
});

describe("cors", () => {
  test("lets the listed origin read and ask", async () => {
    const read = await get("/api/media", { Origin: ORIGIN });
    expect(read.headers.get("access-control-allow-origin")).toBe(ORIGIN);
    const ask = await fetch(`${api.url}/api/requests`, { method: "OPTIONS", headers: { Origin: ORIGIN } });
    expect(ask.status).toBe(204);
    expect(ask.headers.get("access-control-allow-methods")).toContain("POST");
  });
  test("refuses and logs a strange origin", async () => {
    const headers = { Origin: "https://stranger.example.net" };
    const ask = await fetch(`${api.url}/api/requests`, { method: "OPTIONS", headers });
    expect(ask.status).toBe(403);
    expect((await get("/api/media", headers)).headers.get("access-control-allow-origin")).toBeNull();
    expect(api.lines.filter((line) => line.includes("origin denied"))).toHaveLength(2);
  });
});

describe("media", () => {
  test("are read from the database once and then from the cache", async () => {
    expect((await get("/api/media")).headers.get("x-cache")).toBe("miss");
    expect((await get("/api/media")).headers.get("x-cache")).toBe("hit");
    expect(api.library.reads).toBe(1);
  });
  test("are answered without a cache too", async () => {
    api.cache.mode = "down";
    expect((await get("/api/media")).status).toBe(200);
  });
  test("can be asked for by kind, and only by a known one", async () => {
    expect(await (await get("/api/media?kind=film")).json()).toMatchObject({ items: [{ title: "Metropolis" }] });
    expect((await get("/api/media?kind=opera")).status).toBe(400);
  });
  test.each(["2", "0", "x", "1.5", "9999999999999999"])("with the id %s are found or a 404", async (id) => {
    expect((await get(`/api/media/${id}`)).status).toBe(id === "2" ? 200 : 404);
  });
  test("that cannot be read are a 500 that hides the cause from the caller and logs it", async () => {
    api.library.down = true;
    const answer = await get("/api/media");
    expect(answer.status).toBe(500);
    expect(await answer.text()).not.toContain("database");
    expect(api.lines.join("")).toContain("the database is down");
  });
});

describe("sign-in", () => {
  test("gives a token that says who one is", async () => {
    expect(await (await get("/api/me", await signIn())).json()).toEqual({ email: "qa@example.com" });
  });
  test.each([
    ["a wrong password", { email: "qa@example.com", password: "wrong" }, 401],
    ["an unknown account", { email: "who@example.com", password: "right" }, 401],
    ["no password", { email: "qa@example.com" }, 400],
    ["a password that is no text", { email: "qa@example.com", password: {} }, 400],
  ])("with %s is refused", async (_name, body, status) => {
    expect((await post("/api/auth/login", body)).status).toBe(status);
  });
  test("is limited per account, and other accounts may go on", async () => {
    const attempt = async (email: string) => (await post("/api/auth/login", { email, password: "guess" })).status;
    const statuses = [];
    for (let count = 0; count < 6; count += 1) statuses.push(await attempt("one@example.com"));
    expect(statuses).toEqual([401, 401, 401, 401, 401, 429]);
    expect(await attempt("two@example.com")).toBe(401);
  });
  test("with a broken body is a 400", async () => {
    const answer = await fetch(`${api.url}/api/auth/login`, { method: "POST", headers: { "Content-Type": "application/json" }, body: "{" });
    expect(answer.status).toBe(400);
  });
});

describe("requests", () => {
  test("need a signed-in person", async () => {
    expect((await get("/api/requests")).status).toBe(401);
    expect((await post("/api/requests", { title: "Faust" }, { Authorization: "Bearer a.b.c" })).status).toBe(401);
  });
  test("are kept with who asked", async () => {
    const bearer = await signIn();
    expect((await post("/api/requests", { title: " Faust ", note: "please" }, bearer)).status).toBe(201);
    expect(await (await get("/api/requests", bearer)).json()).toMatchObject({ items: [{ title: "Faust", requestedBy: "qa@example.com" }] });
  });
  test("need a title", async () => {
    expect((await post("/api/requests", { title: "  " }, await signIn())).status).toBe(400);
  });
  test("are not there while their flag is off", async () => {
    const other = await startApi({ flags: {} });
    expect((await fetch(`${other.url}/api/requests`)).status).toBe(404);
    await other.stop();
  });
});

test("too many requests from one address are refused", async () => {
  const small = await startApi({ ratePerMinute: 2 });
  const statuses = [];
  for (let count = 0; count < 3; count += 1) statuses.push((await fetch(`${small.url}/api/features`)).status);
  await small.stop();
  expect(statuses).toEqual([200, 200, 429]);
});

test("an unknown path is a 404 in JSON", async () => {
  const answer = await get("/nothing");
  expect(answer.status).toBe(404);
  expect(await answer.json()).toHaveProperty("error");
});
