//! `hub matters import`: makes a list of matters of what a service portal publishes.
//!
//! What the portal calls 事项编码 is no 实施编码 of 31 characters, but has its parts: the 事项代码, the area, the body. See
//! `docs/formats/matters.md`. Entries that cannot be taken are told one by one, with the reason.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use licence::{CreditCode, Guide, Matter, MatterCode, Matters, MattersError};
use serde::Deserialize;
use serde_json::json;

use super::fail;

/// What `hub matters` does.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Make a list of matters of a service portal's published one (JSON).
    Import(Arguments),
}

/// Arguments of `hub matters import`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The published list.
    file: PathBuf,
    /// Where the list of matters is written; a file that is there is not overwritten.
    #[arg(long)]
    out: PathBuf,
    /// The list of matters from the last import: guides written since are kept, and what changed gets the next version.
    #[arg(long)]
    previous: Option<PathBuf>,
    /// Where the names of the departments are written, for the key `departments` of the settings.
    #[arg(long)]
    departments: Option<PathBuf>,
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The published list has another shape.
    #[error("the published list does not have the expected shape: {0}")]
    Shape(String),
    /// The list of the last import cannot be used.
    #[error("{path}: {source}")]
    Previous {
        /// The file.
        path: PathBuf,
        /// Why.
        source: MattersError,
    },
}

/// Why an entry was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Neither its code nor its department has a credit code that checks.
    NoCreditCode,
    /// Its code does not name the area.
    OtherCode,
    /// It has no name.
    NoName,
    /// Another entry comes to the same code.
    SameCode,
}

impl Why {
    fn words(self) -> &'static str {
        match self {
            Self::NoCreditCode => "neither its code nor its department has a valid credit code",
            Self::OtherCode => "its code does not have the expected parts",
            Self::NoName => "it has no name",
            Self::SameCode => "another entry comes to the same code",
        }
    }
}

/// What became of a published list.
#[derive(Debug, Default)]
pub struct Imported {
    /// The matters, by code.
    pub matters: BTreeMap<MatterCode, Matter>,
    /// Names of the departments.
    pub departments: BTreeMap<CreditCode, String>,
    /// What was not taken: number of the entry from 1, its name, and why.
    pub left: Vec<(usize, String, Why)>,
}

/// An entry as published.
#[derive(Deserialize)]
struct Published {
    name: String,
    item_code: String,
    #[serde(default)]
    area_code: String,
    #[serde(default)]
    dept_code: String,
    #[serde(default)]
    department: String,
}

/// Runs the command.
pub fn run(command: &Command) -> ExitCode {
    let Command::Import(arguments) = command;
    match import(arguments) {
        Ok(imported) => {
            tell(&imported, arguments);
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

fn import(arguments: &Arguments) -> Result<Imported, ImportError> {
    let mut imported = read(&bytes_of(&arguments.file)?)?;
    if let Some(path) = &arguments.previous {
        let before = Matters::parse(&bytes_of(path)?)
            .map_err(|source| ImportError::Previous { path: path.clone(), source })?;
        follow(&mut imported, &before);
    }
    let matters: Vec<&Matter> = imported.matters.values().collect();
    let list = json!({ "format": "yihao-matters-2", "matters": matters });
    write(&arguments.out, &format!("{list:#}\n"))?;
    if let Some(path) = &arguments.departments {
        write(path, &format!("{:#}\n", json!(imported.departments)))?;
    }
    Ok(imported)
}

/// Reads a published list.
///
/// # Errors
/// `Shape`. An entry that cannot be taken is no error: it stands in `left`.
pub fn read(bytes: &[u8]) -> Result<Imported, ImportError> {
    let entries: Vec<Published> =
        serde_json::from_slice(bytes).map_err(|error| ImportError::Shape(error.to_string()))?;
    let mut imported = Imported::default();
    for (place, entry) in entries.into_iter().enumerate() {
        let name = entry.name.trim().to_owned();
        let taken =
            taken(&entry).and_then(|matter| match imported.matters.entry(matter.code.clone()) {
                Entry::Occupied(_) => Err(Why::SameCode),
                Entry::Vacant(free) => Ok(free.insert(matter).department),
            });
        match taken {
            Ok(department) if !entry.department.trim().is_empty() => {
                let called = || entry.department.trim().to_owned();
                imported.departments.entry(department).or_insert_with(called);
            }
            Ok(_) => {}
            Err(why) => imported.left.push((place + 1, name, why)),
        }
    }
    Ok(imported)
}

fn taken(entry: &Published) -> Result<Matter, Why> {
    let name = entry.name.trim();
    if name.is_empty() {
        return Err(Why::NoName);
    }
    let parts: Vec<&str> = entry.item_code.split('-').collect();
    let credit_code = |part: &str| part.to_uppercase().parse::<CreditCode>().ok();
    let is_area = |part: &&str| part.len() == 12 && part.bytes().all(|byte| byte.is_ascii_digit());
    let area = parts.iter().skip(1).position(is_area).map(|place| place + 1);
    let body = parts.iter().position(|part| credit_code(part).is_some());
    let department = body
        .map(|place| parts[place])
        .or_else(|| entry.dept_code.split('_').next())
        .and_then(credit_code)
        .ok_or(Why::NoCreditCode)?;
    // What stands before the area; a few have none, and the body follows at once.
    let own = &parts[..area.or(body).ok_or(Why::OtherCode)?];
    let area = area.map_or(entry.area_code.as_str(), |place| parts[place]);
    if own.is_empty() || !is_area(&area) {
        return Err(Why::OtherCode);
    }
    let code = format!("{department}{}{}", level(area), base(own));
    Ok(Matter {
        code: code.parse().map_err(|_| Why::OtherCode)?,
        name: name.to_owned(),
        department,
        requires: Vec::new(),
        basis: "（来源清单未载明）".to_owned(),
        version: 1,
        national_code: Some(entry.item_code.clone()),
        guide: Guide::default(),
    })
}

/// The last twelve letters and digits of the 事项代码, filled with zeros from the left.
fn base(parts: &[&str]) -> String {
    let all: String = parts.concat().to_uppercase();
    let kept: Vec<char> = all.chars().filter(char::is_ascii_alphanumeric).collect();
    let last: String = kept[kept.len().saturating_sub(12)..].iter().collect();
    format!("{last:0>12}")
}

/// 行政层级 of an area: 2 province, 3 city, 4 district, 5 street or town, 6 village.
fn level(area: &str) -> char {
    let ends_in_zeros = |digits: usize| area[12 - digits..].bytes().all(|digit| digit == b'0');
    match () {
        () if ends_in_zeros(10) => '2',
        () if ends_in_zeros(8) => '3',
        () if ends_in_zeros(6) => '4',
        () if ends_in_zeros(3) => '5',
        () => '6',
    }
}

/// Keeps what was written by hand since the last import; what changed gets the next version.
fn follow(imported: &mut Imported, before: &Matters) {
    for matter in imported.matters.values_mut() {
        let Some(known) = before.get(&matter.code) else { continue };
        matter.guide = known.guide.clone();
        matter.requires.clone_from(&known.requires);
        matter.basis.clone_from(&known.basis);
        matter.version = known.version;
        if matter != known {
            matter.version += 1;
        }
    }
}

fn tell(imported: &Imported, arguments: &Arguments) {
    for (place, name, why) in &imported.left {
        println!("entry {place}, {name}: not taken, {}", why.words());
    }
    let mut counts: BTreeMap<Why, usize> = BTreeMap::new();
    for (_, _, why) in &imported.left {
        *counts.entry(*why).or_default() += 1;
    }
    println!(
        "{} matters of {} departments written to {}; {} entries not taken",
        imported.matters.len(),
        imported.departments.len(),
        arguments.out.display(),
        imported.left.len(),
    );
    for (why, count) in counts {
        println!("  {count}: {}", why.words());
    }
    println!(
        "their codes were made of the published ones: replace them with the national list's 实施编码 before real use; \
         they have no guides yet (docs/formats/matters.md)"
    );
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, ImportError> {
    fs::read(path).map_err(|source| ImportError::File { path: path.to_owned(), source })
}

fn write(path: &Path, text: &str) -> Result<(), ImportError> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|source| ImportError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(item_code: &str, dept_code: &str) -> Published {
        Published {
            name: "教师资格认定".to_owned(),
            item_code: item_code.to_owned(),
            area_code: "511602000000".to_owned(),
            dept_code: dept_code.to_owned(),
            department: "区教科体局".to_owned(),
        }
    }

    #[test]
    fn a_code_is_made_of_body_level_and_the_end_of_the_published_one() {
        let published = "511A0138600000-511602000000-000-115113010833722043-1-00";
        let matter = taken(&entry(published, "083372204")).unwrap();
        assert_eq!(matter.code.as_str(), "11511301083372204341A0138600000");
        assert_eq!(matter.department.as_str(), "115113010833722043");
        assert_eq!(matter.national_code.as_deref(), Some(published));
        let bare = taken(&entry("E-000004-001-115113010833722043", "")).unwrap();
        assert_eq!(bare.code.as_str(), "115113010833722043400E000004001");
        let short = taken(&entry("G-000007-001-511602000000-000-115113010833722043-1-00", ""));
        assert_eq!(short.unwrap().code.as_str(), "115113010833722043400G000007001");
    }

    #[test]
    fn the_level_is_the_areas() {
        let levels =
            ["510000000000", "511600000000", "511602000000", "511602001000", "511602001205"];
        assert_eq!(levels.map(level), ['2', '3', '4', '5', '6']);
    }

    #[test]
    fn an_entry_without_a_credit_code_is_left() {
        let old = "512B0053300006-511602000000-000-083372204-1-00";
        assert_eq!(taken(&entry(old, "083372204")).unwrap_err(), Why::NoCreditCode);
        let with_department = taken(&entry(old, "115113010833722043_12")).unwrap();
        assert_eq!(with_department.department.as_str(), "115113010833722043");
        assert_eq!(taken(&entry("000185", "115113010833722043")).unwrap_err(), Why::OtherCode);
        let mut unnamed = entry(old, "115113010833722043");
        unnamed.name = " ".to_owned();
        assert_eq!(taken(&unnamed).unwrap_err(), Why::NoName);
    }
}
