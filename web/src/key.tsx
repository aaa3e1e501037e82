// Asks for the API key of a server that wants one. It is kept for this tab only.
import { useKey } from "./api/server";
import { t } from "./i18n";

/** `wrong`: one was given, and refused. */
export function KeyForm({ wrong }: { wrong: boolean }) {
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const field = (event.currentTarget as HTMLFormElement).elements.namedItem("key") as HTMLInputElement;
    void useKey(field.value.trim());
  };
  return (
    <form class="key" onSubmit={submit}>
      <h2>{t.keyNeeded}</h2>
      {wrong && <p role="alert">{t.keyWrong}</p>}
      <label>
        {t.keyLabel}
        <input name="key" type="password" autocomplete="off" required />
      </label>
      <button type="submit" class="primary">
        {t.keyUse}
      </button>
    </form>
  );
}
