/** The staging library: works whose copyright has ended, and one account to sign in with. */
export const titles = [
  ["A Trip to the Moon", "film", 1902],
  ["The Great Train Robbery", "film", 1903],
  ["Les Vampires", "series", 1915],
  ["The Cabinet of Dr. Caligari", "film", 1920],
  ["The Kid", "film", 1921],
  ["Nosferatu", "film", 1922],
  ["Safety Last!", "film", 1923],
  ["Sherlock Jr.", "film", 1924],
  ["The Gold Rush", "film", 1925],
  ["Battleship Potemkin", "film", 1925],
  ["The General", "film", 1926],
  ["Metropolis", "film", 1927],
].map(([title, kind, year]) => ({ title, kind, year }));

/** Signs in on staging only: `STAGING_PASSWORD` of the env file is its password. */
export const account = "qa@medianest.example.com";

/** A first wish for a title. */
export const wish = { title: "The Golem", note: "The one of 1920" };
