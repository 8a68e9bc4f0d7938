// Every case, in the order in which they are run.
import type { Case } from "../case.ts";
import { api } from "./api.ts";
import { data } from "./data.ts";
import { monitoring } from "./monitoring.ts";
import { repository } from "./repository.ts";
import { settings } from "./settings.ts";
import { stack } from "./stack.ts";

export const cases: Case[] = [...repository, ...settings, ...data, ...stack, ...api, ...monitoring];
