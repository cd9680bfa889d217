// Settles what the server settles for a page that it renders: who is signed in, the language and its texts, the theme.
addEventListener('TrunkApplicationStarted', async () => {
  const session = await fetch('/api/session');
  if (!session.ok) {
    location.href = `/sign-in?return=${encodeURIComponent(location.pathname + location.search)}`;
    return;
  }
  const { name, role } = await session.json();
  const cookie = (key) => document.cookie.split('; ').find((it) => it.startsWith(`${key}=`))?.slice(key.length + 1);
  const spoken = { en: 'en', pt: 'pt-BR', es: 'es' };
  const accepted = navigator.languages.map((it) => spoken[it.split('-')[0]]).find((it) => it);
  const html = document.documentElement;
  html.lang = Object.values(spoken).includes(cookie('locale')) ? cookie('locale') : accepted ?? 'en';
  Object.assign(html.dataset, { user: name, role, theme: cookie('theme') ?? 'system' });
  const words = await fetch(`/spa/words-${html.lang}.txt`);
  window.wasmBindings.mount(await words.text());
});
