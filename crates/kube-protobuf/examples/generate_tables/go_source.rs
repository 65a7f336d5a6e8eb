//! Reads the type declarations of Go packages, from which this program generates the tables.
//!
//! The code reads the source line by line. This is sufficient, because `gofmt` has formatted the source.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The types that a package declares, by name.
pub(crate) type Package = BTreeMap<String, Declaration>;

/// A declared type, and the imports of the file that declares it. For each name of an import, the map has the path of
/// the package.
pub(crate) struct Declaration {
    pub(crate) definition: Definition,
    pub(crate) imports: BTreeMap<String, String>,
}

pub(crate) enum Definition {
    Struct(Vec<Field>),
    /// Any definition that is not a struct, in the notation of Go.
    Other(String),
}

#[derive(Clone)]
pub(crate) struct Field {
    /// The type in the notation of Go.
    pub(crate) type_name: String,
    /// Whether the field is embedded in its struct, so that it has no name.
    pub(crate) is_embedded: bool,
    /// The value of the tag `json`.
    pub(crate) json: Option<String>,
    /// The value of the tag `protobuf`.
    pub(crate) protobuf: Option<String>,
}

/// Reads the types of the package in `directory`.
pub(crate) fn package(directory: &Path) -> Result<Package, String> {
    let context = |error| format!("{}: {error}", directory.display());
    let mut package = Package::new();
    for entry in fs::read_dir(directory).map_err(context)? {
        let path = entry.map_err(context)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".go") && !name.ends_with("_test.go") && !name.contains("generated") {
            let text = fs::read_to_string(&path).map_err(context)?;
            read(&text, &mut package).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    Ok(package)
}

fn read(text: &str, package: &mut Package) -> Result<(), String> {
    let mut imports = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("/*") {
            lines.by_ref().find(|line| line.contains("*/"));
        } else if line == "import (" {
            for line in lines.by_ref().take_while(|line| *line != ")") {
                import(line.trim(), &mut imports);
            }
        } else if let Some(line) = line.strip_prefix("import ") {
            import(line, &mut imports);
        } else if let Some(declared) = line.strip_prefix("type ") {
            let declared = without_comment(declared);
            let Some((name, definition)) = declared.split_once(' ') else {
                continue;
            };
            let definition = match definition {
                "struct {" => Definition::Struct(fields(name, &mut lines)?),
                "struct{}" => Definition::Struct(Vec::new()),
                other => Definition::Other(other.trim_start_matches("= ").to_owned()),
            };
            let declaration = Declaration {
                definition,
                imports: imports.clone(),
            };
            package.insert(name.to_owned(), declaration);
        }
    }
    Ok(())
}

fn import(line: &str, imports: &mut BTreeMap<String, String>) {
    let Some((alias, path)) = line.trim_end_matches('"').split_once('"') else {
        return;
    };
    let last = path.rsplit('/').next().unwrap_or(path);
    let alias = if alias.is_empty() { last } else { alias.trim() };
    imports.insert(alias.to_owned(), path.to_owned());
}

fn without_comment(line: &str) -> &str {
    line.split(" //").next().unwrap_or(line).trim_end()
}

/// Reads the fields of a struct, until the brace that ends the struct.
fn fields<'a>(name: &str, lines: &mut impl Iterator<Item = &'a str>) -> Result<Vec<Field>, String> {
    let mut fields = Vec::new();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if line == "}" {
            return Ok(fields);
        }
        if line.starts_with("/*") {
            if !line.contains("*/") {
                lines.find(|line| line.contains("*/"));
            }
        } else if !line.is_empty() && !line.starts_with("//") {
            let (declared, tags) = line.split_once('`').unwrap_or((line, ""));
            let words: Vec<_> = without_comment(declared).split_whitespace().collect();
            let ([type_name] | [_, type_name]) = *words else {
                return Err(format!("{name}: cannot read the field `{line}`"));
            };
            fields.push(Field {
                type_name: type_name.to_owned(),
                is_embedded: words.len() == 1,
                json: tag(tags, "json"),
                protobuf: tag(tags, "protobuf"),
            });
        }
    }
    Err(format!("{name}: the struct does not end"))
}

/// Returns the value of a tag, for example `a,b` for `json:"a,b"`.
fn tag(tags: &str, name: &str) -> Option<String> {
    let (_, value) = tags.split_once(&format!("{name}:\""))?;
    Some(value.split('"').next()?.to_owned())
}
