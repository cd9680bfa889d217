//! Turns `locales/<language>/<area>.json` into one struct an area, so that a missing key does not compile.
//!
//! A plain text becomes a field. A text with `{placeholders}` becomes a method with one argument each, in the order of the
//! English text. An object with `one` and `other` becomes a method whose first argument is the count.

use std::{collections::BTreeMap, env, fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value};

const LANGUAGES: [&str; 3] = ["en", "pt-BR", "es"];
/// The variants of `Locale` in the same order.
const VARIANTS: [&str; 3] = ["En", "PtBr", "Es"];

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
                let map: Map<String, Value> =
                    serde_json::from_str(&text).with_context(|| file.display().to_string())?;
                texts.push(map);
            }
            check_keys(&name, &texts)?;
            areas.insert(name, texts);
        }
    }
    fs::write(Path::new(&env::var("OUT_DIR")?).join("words.rs"), generate(&areas)?)?;
    Ok(())
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

fn generate(areas: &BTreeMap<String, Vec<Map<String, Value>>>) -> Result<String> {
    let mut code = String::new();
    writeln!(code, "/// Every word of one language.\n#[derive(Debug)]\npub struct Words {{")?;
    for area in areas.keys() {
        writeln!(code, "    pub {area}: {},", type_name(area))?;
    }
    writeln!(code, "}}")?;
    for (area, texts) in areas {
        area_code(&mut code, area, texts)?;
    }
    for (nth, language) in LANGUAGES.iter().enumerate() {
        let variant = VARIANTS[nth];
        writeln!(code, "pub(crate) static {}: Words = Words {{", constant(language))?;
        for (area, texts) in areas {
            writeln!(code, "    {area}: {} {{", type_name(area))?;
            if has_methods(&texts[0]) {
                writeln!(code, "        spoken: Locale::{variant},")?;
            }
            for (key, value) in &texts[0] {
                if let (Value::String(english), Value::String(text)) = (value, &texts[nth][key])
                    && placeholders(english).is_empty()
                {
                    writeln!(code, "        {key}: {text:?},")?;
                }
            }
            writeln!(code, "    }},")?;
        }
        writeln!(code, "}};")?;
    }
    Ok(code)
}

fn area_code(code: &mut String, area: &str, texts: &[Map<String, Value>]) -> Result<()> {
    let name = type_name(area);
    writeln!(code, "/// The words of `locales/*/{area}.json`.\n#[derive(Debug)]\npub struct {name} {{")?;
    if has_methods(&texts[0]) {
        writeln!(code, "    spoken: Locale,")?;
    }
    let mut methods = String::new();
    for (key, value) in &texts[0] {
        match value {
            Value::String(text) if placeholders(text).is_empty() => {
                writeln!(code, "    /// {}\n    pub {key}: &'static str,", doc(text))?;
            }
            Value::String(text) => method(&mut methods, key, text, texts, None)?,
            Value::Object(forms) => {
                let other = forms.get("other").and_then(Value::as_str).context("`other`")?;
                method(&mut methods, key, other, texts, Some("one"))?;
            }
            _ => bail!("locales/en/{area}.json: `{key}` is neither a text nor plural forms"),
        }
    }
    writeln!(code, "}}\n\nimpl {name} {{\n{methods}}}")?;
    Ok(())
}

fn method(
    code: &mut String,
    key: &str,
    english: &str,
    texts: &[Map<String, Value>],
    plural: Option<&str>,
) -> Result<()> {
    let mut names = placeholders(english);
    if plural.is_some() {
        names.retain(|it| it != "n");
    }
    let arguments: String = names.iter().flat_map(|it| [", ", it, ": impl std::fmt::Display"]).collect();
    let count = if plural.is_some() { ", n: u64" } else { "" };
    writeln!(
        code,
        "    /// {}\n    pub fn {key}(&self{count}{arguments}) -> String {{\n        match self.spoken {{",
        doc(english)
    )?;
    for (nth, map) in texts.iter().enumerate() {
        let value = &map[key];
        let variant = VARIANTS[nth];
        if plural.is_some() {
            let form = |it: &str| value.get(it).and_then(Value::as_str).with_context(|| format!("{key}: `{it}`"));
            // CLDR: Portuguese counts zero as singular, English and Spanish do not.
            let one = if LANGUAGES[nth] == "pt-BR" { "n <= 1" } else { "n == 1" };
            writeln!(
                code,
                "            Locale::{variant} if {one} => format!({:?}),\n            Locale::{variant} => format!({:?}),",
                form("one")?,
                form("other")?
            )?;
        } else {
            let text = value.as_str().with_context(|| key.to_owned())?;
            writeln!(code, "            Locale::{variant} => format!({text:?}),")?;
        }
    }
    writeln!(code, "        }}\n    }}")?;
    Ok(())
}

/// Whether an area has a text that depends on arguments, and so on the language at run time.
fn has_methods(english: &Map<String, Value>) -> bool {
    english.values().any(|it| it.as_str().is_none_or(|text| !placeholders(text).is_empty()))
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
