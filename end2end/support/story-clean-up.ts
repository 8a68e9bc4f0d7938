// Before and after all tests. What the chapters of the story share outlives each of the processes that run them, so the
// process that starts those removes it.
import { prepareStories, removeStory } from "./story.ts";

export default async function setUp(): Promise<() => Promise<void>> {
  await prepareStories();
  return () => removeStory();
}
