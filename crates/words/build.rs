//! Turns `locales/<language>/<area>.json` into one struct an area, so that a missing key does not compile.
//!
//! A plain text becomes a field. A text with `{placeholders}` becomes a method with one argument each, in the order of the
//! English text. An object with `one` and `other` becomes a method whose first argument is the count. The texts of a language
//! are one list in the order of the fields: natively compiled in, in the browser loaded beside the WebAssembly.

use std::{
    collections::BTreeMap,
    env,
    fmt::{self, Write as _},
    fs,
    path::Path,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

const LANGUAGES: [&str; 3] = ["en", "pt-BR", "es"];
/// What only the server says: in mails and files, and on pages whose HTML it makes. The browser has no word of it, and code for the
/// browser that asks for one does not compile.
const SERVER_ONLY: &[&str] = &[
    "agents",
    "audit",
    "authorities",
    "connection_tests",
    "discovery",
    "egress",
    "lists",
    "notice",
    "oauth",
    "posture",
    "refusal",
    "tokens",
];
const NATIVE: &str = "#[cfg(not(target_arch = \"wasm32\"))]";
/// Between two texts of a language's list.
const SEPARATOR: char = '\u{1e}';

fn main() -> Result<()> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../locales");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut areas = BTreeMap::new();
    for entry in fs::read_dir(root.join("en")).context("locales/en")? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == "json") {
            println!("cargo::rerun-if-changed={}", path.display());
            let name = path.file_stem().context("a file name")?.to_string_lossy().into_owned();
            let mut texts = Vec::new();
            for language in LANGUAGES {
                let file = root.join(language).join(format!("{name}.json"));
                println!("cargo::rerun-if-changed={}", file.display());
                let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
                let Texts(map) = serde_json::from_str(&text).with_context(|| file.display().to_string())?;
                texts.push(map);
            }
            check_keys(&name, &texts)?;
            areas.insert(name, texts);
        }
    }
    fs::write(Path::new(&env::var("OUT_DIR")?).join("words.rs"), generate(&areas)?)?;
    Ok(())
}

/// The texts of a file. JSON lets a key come twice, and the last of them count; here that is an oversight.
struct Texts(Map<String, Value>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;

        impl<'de> Visitor<'de> for Keys {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Texts, A::Error> {
                let mut map = Map::new();
                while let Some((key, value)) = access.next_entry::<String, Value>()? {
                    if map.contains_key(&key) {
                        return Err(de::Error::custom(format_args!("the key `{key}` comes twice")));
                    }
                    map.insert(key, value);
                }
                Ok(Texts(map))
            }
        }

        deserializer.deserialize_map(Keys)
    }
}

fn check_keys(area: &str, texts: &[Map<String, Value>]) -> Result<()> {
    for (language, map) in LANGUAGES.iter().zip(texts) {
        for key in texts[0].keys() {
            ensure!(map.contains_key(key), "locales/{language}/{area}.json lacks `{key}`");
        }
        for key in map.keys() {
            ensure!(texts[0].contains_key(key), "locales/{language}/{area}.json has `{key}`, which English lacks");
        }
    }
    Ok(())
}

/// A text split at its placeholders: literal, name, literal, name, …
fn placeholders(text: &str) -> Vec<String> {
    text.split('{').skip(1).filter_map(|it| it.split_once('}')).map(|(name, _)| name.to_owned()).collect()
}

/// One field of an area's struct.
struct Text {
    field: String,
    is_public: bool,
    /// In the order of [`LANGUAGES`].
    wordings: Vec<String>,
}

fn generate(areas: &BTreeMap<String, Vec<Map<String, Value>>>) -> Result<String> {
    let mut code = String::new();
    let (mut whole, mut made) = (String::new(), String::new());
    // The browser's, and the others.
    let mut lists = [vec![Vec::new(); LANGUAGES.len()], vec![Vec::new(); LANGUAGES.len()]];
    let is_server_only = |area: &str| SERVER_ONLY.contains(&area);
    let (of_server, of_browser): (Vec<_>, Vec<_>) = areas.iter().partition(|it| is_server_only(it.0));
    for (area, texts) in of_browser.into_iter().chain(of_server) {
        let name = type_name(area);
        let only = if is_server_only(area) { format!("{NATIVE}\n") } else { String::new() };
        let fields = area_code(&mut code, area, texts, &only)?;
        writeln!(whole, "{only}    pub {area}: {name},")?;
        write!(made, "{only}            {area}: {name} {{")?;
        if has_plurals(&texts[0]) {
            write!(made, " spoken,")?;
        }
        for Text { field, wordings, .. } in fields {
            write!(made, " {field}: next(),")?;
            for (list, wording) in lists[usize::from(is_server_only(area))].iter_mut().zip(wordings) {
                ensure!(!wording.contains(SEPARATOR), "{area}: `{field}` has a separator in it");
                list.push(wording);
            }
        }
        writeln!(made, " }},")?;
    }
    writeln!(
        code,
        "/// Every word of one language.\n#[derive(Debug)]\npub struct Words {{\n{whole}}}\n\nimpl Words {{\n    \
         /// From the texts of a language in their order.\n    \
         fn of(spoken: Locale, mut next: impl FnMut() -> &'static str) -> Self {{\n        Self {{\n{made}        }}\n    }}\n}}"
    )?;
    for (suffix, lists) in ["", "_SERVER"].iter().zip(lists) {
        for (language, list) in LANGUAGES.iter().zip(lists) {
            let text = list.join(&SEPARATOR.to_string());
            writeln!(code, "{NATIVE}\npub(crate) static {}{suffix}: &str = {text:?};", constant(language))?;
        }
    }
    Ok(code)
}

/// The struct of an area, and its texts in the order of its fields.
fn area_code(code: &mut String, area: &str, texts: &[Map<String, Value>], only: &str) -> Result<Vec<Text>> {
    let name = type_name(area);
    let (mut fields, mut methods) = (Vec::new(), String::new());
    let all =
        |wording: &dyn Fn(&Map<String, Value>) -> Option<String>| texts.iter().map(wording).collect::<Option<Vec<_>>>();
    for (key, value) in &texts[0] {
        let plain = |map: &Map<String, Value>| map[key].as_str().map(str::to_owned);
        let form = |form: &'static str| move |map: &Map<String, Value>| Some(map[key].get(form)?.as_str()?.to_owned());
        let missing = || format!("locales/*/{area}.json: `{key}` is neither a text nor plural forms everywhere");
        match value {
            Value::String(text) => {
                let names = placeholders(text);
                let is_public = names.is_empty();

                if !is_public {
                    method(&mut methods, key, text, &names, None)?;
                }
                fields.push(Text { field: key.clone(), is_public, wordings: all(&plain).with_context(missing)? });
            }
            Value::Object(forms) => {
                let other = forms.get("other").and_then(Value::as_str).context("`other`")?;
                let names: Vec<_> = placeholders(other).into_iter().filter(|it| it != "n").collect();
                method(&mut methods, key, other, &names, Some(()))?;
                for which in ["one", "other"] {
                    let wordings = all(&form(which)).with_context(missing)?;
                    fields.push(Text { field: format!("{key}_{which}"), is_public: false, wordings });
                }
            }
            _ => bail!(missing()),
        }
    }
    writeln!(code, "/// The words of `locales/*/{area}.json`.\n{only}#[derive(Debug)]\npub struct {name} {{")?;
    if has_plurals(&texts[0]) {
        writeln!(code, "    spoken: Locale,")?;
    }
    for Text { field, is_public, wordings } in &fields {
        let visible = if *is_public { "pub " } else { "" };
        writeln!(code, "    /// {}\n    {visible}{field}: &'static str,", doc(&wordings[0]))?;
    }
    writeln!(code, "}}\n")?;
    if !methods.is_empty() {
        writeln!(code, "{only}impl {name} {{\n{methods}}}\n")?;
    }
    Ok(fields)
}

/// A method that fills the placeholders; with `plural`, its first argument is the count.
fn method(code: &mut String, key: &str, english: &str, names: &[String], plural: Option<()>) -> Result<()> {
    let arguments: String = names.iter().flat_map(|it| [", ", it, ": impl std::fmt::Display"]).collect();
    let values: String = names.iter().flat_map(|it| ["(\"", it, "\", &", it, "), "]).collect();
    let (count, text, values) = match plural {
        Some(()) => {
            let text = format!("if self.spoken.is_one(n) {{ self.{key}_one }} else {{ self.{key}_other }}");
            (", n: u64", text, format!("(\"n\", &n), {values}"))
        }
        None => ("", format!("self.{key}"), values),
    };
    writeln!(
        code,
        "    /// {}\n    pub fn {key}(&self{count}{arguments}) -> String {{\n        fill({text}, &[{values}])\n    }}",
        doc(english)
    )?;
    Ok(())
}

/// Whether an area has a text that depends on a count, and so on the rules of its language.
fn has_plurals(english: &Map<String, Value>) -> bool {
    english.values().any(Value::is_object)
}

fn doc(text: &str) -> String {
    format!("`{}`", text.replace('`', "'").replace('\n', " "))
}

fn type_name(area: &str) -> String {
    area.split('_').map(|it| it[..1].to_uppercase() + &it[1..]).collect()
}

fn constant(language: &str) -> String {
    language.to_uppercase().replace('-', "_")
}
