// Buttons that give files. A click asks the server, which makes the file; it is fetched and saved when it has come. A
// run of the page in between loses nothing: what was asked for is asked again by Streamlit, and saved once.

const saved = (window.filmroomSaved ??= new Set());

async function save({ token, url, name }, say) {
  for (let attempt = 0; attempt < 4; attempt += 1) {
    const answer = await fetch(url).catch(() => null);
    if (answer?.ok) {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(await answer.blob());
      link.download = name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60000);
      return say(`${name} is saved.`);
    }
    await new Promise((done) => setTimeout(done, 400));
  }
  saved.delete(token);
  return say("The file could not be fetched. Try again.");
}

export default function show({ data, parentElement, setTriggerValue }) {
  const place = parentElement.querySelector(".files");
  if (!place || !data) return;
  const status = parentElement.querySelector(".said");
  const say = (text) => { status.textContent = text; };
  place.replaceChildren(...data.files.map(({ label, title }) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.title = title;
    button.onclick = () => {
      say(`Making ${label}`);
      setTriggerValue("make", { label, at: Date.now() });
    };
    return button;
  }));
  if (!data.made || saved.has(data.made.token)) return;
  saved.add(data.made.token);
  save(data.made, say);
}
