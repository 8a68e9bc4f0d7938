// One way to spoil the example, and what has to be seen of it.
import type { Stage } from "./stage.ts";

/**
 * What a case needs before it is applied: `files` a repository alone, `stack` one that is deployed, `points` two
 * releases that passed gate F as well.
 */
export type Needs = "files" | "stack" | "points";

export interface Case {
  name: string;
  /** What is done, in a few words. */
  what: string;
  needs: Needs;
  /** The items that must turn red or inconclusive, exactly these. None: nothing may turn. */
  breaks: string[];
  /** Words that what was seen of a broken check must hold, or that a blocker must. They name the cause. */
  says?: RegExp;
  /** A blocker of the verdict that must appear, for what concerns no criterion. */
  blocker?: RegExp;
  /** Gates in which preflight must find something that would break. */
  preflight?: string[];
  /** Checks that take long and are looked at here; the quick ones always are. */
  checks?: string[];
  apply(stage: Stage): Promise<void> | void;
  /** Makes all as before. What `apply` did with `stage.edit` and `stage.env` is undone without it. */
  undo?(stage: Stage): Promise<void> | void;
}
