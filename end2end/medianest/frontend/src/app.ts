import { createServer, type Server, type ServerResponse } from "node:http";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Logger, Release } from "@medianest/shared";

/** What the frontend needs from outside. `apiUrl` is where browsers find the API. */
export interface FrontendParts {
  apiUrl: string;
  release: Release;
  publicFolder: string;
  log: Logger;
}

const STATIC: Record<string, { file: string; type: string }> = {
  "/app.js": { file: "app.js", type: "text/javascript; charset=utf-8" },
  "/app.css": { file: "app.css", type: "text/css; charset=utf-8" },
};

/** The frontend as one HTTP server: a page, its two files, `/config.json` and `/health`. */
export function createFrontend({ apiUrl, release, publicFolder, log }: FrontendParts): Server {
  const page = readFileSync(join(publicFolder, "index.html"), "utf8").replaceAll("{{version}}", escapeHtml(release.version));
  const files = new Map(Object.entries(STATIC).map(([path, { file, type }]) => [path, { type, body: readFileSync(join(publicFolder, file)) }]));
  const policy = `default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ${apiUrl}; base-uri 'none'; form-action 'none'`;

  return createServer((req, res) => {
    const path = (req.url ?? "/").split("?")[0] ?? "/";
    res.on("finish", () => {
      if (path !== "/health") log.info("request", { method: req.method, path: path.slice(0, 200), status: res.statusCode });
    });
    res.setHeader("X-Content-Type-Options", "nosniff");
    if (req.method !== "GET" && req.method !== "HEAD") return send(res, 405, "application/json", '{"error":"only GET"}');
    if (path === "/health") {
      return send(res, 200, "application/json", JSON.stringify({ status: "ok", version: release.version, commit: release.commit, apiUrl }));
    }
    if (path === "/config.json") return send(res, 200, "application/json", JSON.stringify({ apiUrl, version: release.version }));
    if (path === "/") {
      res.setHeader("Content-Security-Policy", policy);
      return send(res, 200, "text/html; charset=utf-8", page);
    }
    const file = files.get(path);
    if (file === undefined) return send(res, 404, "application/json", '{"error":"there is nothing here"}');
    return send(res, 200, file.type, file.body);
  });
}

function send(res: ServerResponse, status: number, type: string, body: string | Buffer): void {
  res.writeHead(status, { "Content-Type": type, "Cache-Control": "no-store" }).end(body);
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
