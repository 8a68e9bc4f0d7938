/** One title of the library, as the API answers it. */
export interface Media {
  id: number;
  title: string;
  kind: "film" | "series";
  year: number;
}

/** A wish for a title, made by a signed-in person. The note is stored encrypted. */
export interface MediaRequest {
  id: number;
  title: string;
  note: string;
  requestedBy: string;
  createdAt: string;
}

/** What `/health` of the API answers; 200 when `status` is "ok", else 503. */
export interface Health {
  status: "ok" | "degraded";
  version: string;
  commit: string;
  db: "up" | "down";
  redis: "up" | "down";
  /** Faults baked into the image on purpose, to rehearse a bad release. */
  faults: string[];
  uptimeSeconds: number;
}
