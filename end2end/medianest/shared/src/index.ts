/** What both halves of MediaNest agree on: the shapes on the wire and a few small rules. */
export * from "./config.js";
export * from "./http.js";
export * from "./release.js";
export * from "./wire.js";
