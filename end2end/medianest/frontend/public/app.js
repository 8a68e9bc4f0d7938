// Fills the page from the API that the server named.
const status = document.querySelector("#api");
const list = document.querySelector("#titles");

try {
  const { apiUrl } = await (await fetch("/config.json")).json();
  const health = await (await fetch(`${apiUrl}/health`)).json();
  status.textContent = `API ${health.version} is ${health.status} (database ${health.db}, cache ${health.redis})`;
  const { items } = await (await fetch(`${apiUrl}/api/media`)).json();
  list.replaceChildren(
    ...items.map((item) => {
      const row = document.createElement("li");
      row.textContent = `${item.title}, ${item.kind} of ${item.year}`;
      return row;
    }),
  );
} catch {
  status.textContent = "The API does not answer.";
}
