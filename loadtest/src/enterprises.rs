//! `loadtest enterprises`: rows of a real register as signed business licences.
//!
//! The rows are a tab-separated file, plain or zstd, with the columns `name`, `uscc`, `reg_date`,
//! `type`, `scope`; others are ignored. The issuer is the market regulator of the synthetic
//! district: what is tested is the way in, not who signed in reality.

use std::{
    collections::HashSet,
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use certs::sha256;
use jiff::civil::Date;
use licence::{
    CreditCode, Holder, HolderId, HolderKind, Licence, LicenceId, LicenceTypeCode, Sha256Digest,
};
use serde_json::{Map, Value};

use crate::{
    error::Error,
    folder::{BatchWriter, Folder},
};

/// The business licence in the district's catalogue.
pub const BUSINESS_LICENCE: &str = "11100000MB0143028R001";

/// Arguments of `loadtest enterprises`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The rows: a .tsv file, or .tsv.zst.
    #[arg(long)]
    rows: PathBuf,
    /// The folder to write; made if it is missing.
    #[arg(long)]
    out: PathBuf,
    /// Keys and certificates follow from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only so many rows.
    #[arg(long)]
    limit: Option<usize>,
    /// Licences in a signed batch.
    #[arg(long, default_value_t = 10_000)]
    batch: usize,
}

/// Packs, and says what became of the rows.
///
/// # Errors
/// See [`pack`].
pub fn run(arguments: &Arguments) -> Result<(), Error> {
    if !(1..=certs::MAX_MANIFEST_LICENCES).contains(&arguments.batch) {
        return Err(Error::Argument("--batch is 1 to 100000".to_owned()));
    }
    let packed =
        pack(&arguments.rows, &arguments.out, arguments.seed, arguments.limit, arguments.batch)?;
    println!("{}", packed.told());
    println!("serve it:  hub serve --config {}", packed.folder.settings().display());
    Ok(())
}

/// One licence that was packed.
pub struct Enterprise {
    /// The holder's credit code.
    pub code: CreditCode,
    /// The holder's name.
    pub name: String,
    /// The licence made of the row.
    pub licence: LicenceId,
    /// SHA-256 of its signed bytes.
    pub digest: Sha256Digest,
    /// Day of registration and of issue.
    pub issued_on: Date,
}

/// What became of the rows.
pub struct Packed {
    /// Where everything is.
    pub folder: Folder,
    /// The licences in the order of the rows.
    pub enterprises: Vec<Enterprise>,
    /// Batches written.
    pub batches: u32,
    /// Rows left out because an earlier row has the same code.
    pub duplicates: u64,
    /// Rows left out because the code is no credit code or the date no date.
    pub irregular: u64,
    /// Codes whose position 17 is not the GB 11714 check of 9 to 16; packed all the same.
    pub odd_body_codes: u64,
}

impl Packed {
    /// One line.
    pub fn told(&self) -> String {
        format!(
            "{} business licences in {} batches; rows left out: {} with a code that came before, {} irregular; \
             {} codes whose body code has another check character",
            self.enterprises.len(),
            self.batches,
            self.duplicates,
            self.irregular,
            self.odd_body_codes
        )
    }
}

/// Writes a hub's folder with the rows as signed batches of the district's market regulator.
///
/// # Errors
/// `File`, `Content` for a row of another shape, or what signing says.
pub fn pack(
    rows: &Path,
    root: &Path,
    seed: u64,
    limit: Option<usize>,
    batch: usize,
) -> Result<Packed, Error> {
    let (folder, authority) = Folder::set_up(root, seed)?;
    let regulator = &district::issuing_departments()[0];
    let identity = authority.issuer(regulator)?;
    let mut writer = BatchWriter::new(folder.import(regulator), &identity, &regulator.code, batch)?;
    let issue = Issue {
        licence_type: BUSINESS_LICENCE.parse().expect("a constant of this module"),
        issuer: regulator.code.as_str().parse().expect("a credit code is an issuer's"),
        issuer_name: regulator.name.to_owned(),
    };
    let mut packed = Packed {
        folder,
        enterprises: Vec::new(),
        batches: 0,
        duplicates: 0,
        irregular: 0,
        odd_body_codes: 0,
    };
    let mut seen = HashSet::new();
    let mut rows = Rows::open(rows)?;
    while let Some(row) = rows.next()? {
        if limit.is_some_and(|limit| packed.enterprises.len() >= limit) {
            break;
        }
        let Some(licence) = issue.licence(&row) else {
            packed.irregular += 1;
            continue;
        };
        let code: CreditCode = row.code.parse().expect("a licence was made of it");
        if !seen.insert(code) {
            packed.duplicates += 1;
            continue;
        }
        packed.odd_body_codes += u64::from(!code.body_code_checks());
        let document = licence.to_bytes();
        writer.push(&document)?;
        packed.enterprises.push(Enterprise {
            code,
            name: row.name,
            licence: licence.identifier,
            digest: sha256(&document),
            issued_on: licence.issued_on,
        });
    }
    (_, packed.batches) = writer.finish()?;
    Ok(packed)
}

/// What all licences have in common.
struct Issue {
    licence_type: LicenceTypeCode,
    issuer: licence::IssuerId,
    issuer_name: String,
}

impl Issue {
    /// `None` if the row's code or date is none.
    fn licence(&self, row: &Row) -> Option<Licence> {
        let code: CreditCode = row.code.parse().ok()?;
        let issued_on: Date = row.registered.parse().ok()?;
        let mut fields = Map::new();
        let scope = if row.scope.is_empty() { "/" } else { &row.scope };
        fields.insert("business_scope".to_owned(), Value::from(scope));
        if !row.kind.is_empty() {
            fields.insert("enterprise_type".to_owned(), Value::from(row.kind.as_str()));
        }
        fields.insert("established_on".to_owned(), Value::from(issued_on.to_string()));
        Some(Licence {
            // The credit code is a serial of 18 characters, one for each enterprise.
            identifier: LicenceId::build(&self.licence_type, &self.issuer, code.as_str(), 1)
                .ok()?,
            name: "营业执照".to_owned(),
            licence_type: self.licence_type,
            number: code.as_str().to_owned(),
            issuer_name: self.issuer_name.clone(),
            issuer: self.issuer,
            issued_on,
            holders: vec![Holder {
                name: row.name.clone(),
                id: HolderId::parse(HolderKind::Organisation, code.as_str()).ok()?,
            }],
            valid_from: Some(issued_on),
            valid_to: None,
            region: Some(code.region()),
            project: None,
            predecessor: None,
            fields,
            files: Vec::new(),
        })
    }
}

/// One row as it stands in the file.
struct Row {
    name: String,
    code: String,
    registered: String,
    kind: String,
    scope: String,
}

/// The rows of a file.
struct Rows {
    path: PathBuf,
    lines: BufReader<Box<dyn Read>>,
    number: usize,
    /// Where name, code, date, type and scope stand.
    columns: [usize; 5],
}

impl Rows {
    fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(Error::file(path))?;
        let is_packed = path.extension().is_some_and(|extension| extension == "zst");
        let bytes: Box<dyn Read> = if is_packed {
            Box::new(zstd::stream::read::Decoder::new(file).map_err(Error::file(path))?)
        } else {
            Box::new(file)
        };
        let mut rows = Self {
            path: path.to_owned(),
            lines: BufReader::with_capacity(1 << 18, bytes),
            number: 0,
            columns: [0; 5],
        };
        let head = rows.line()?.ok_or_else(|| rows.wrong("the file is empty".to_owned()))?;
        let names: Vec<&str> = head.split('\t').collect();
        for (column, name) in ["name", "uscc", "reg_date", "type", "scope"].into_iter().enumerate()
        {
            let found = names.iter().position(|one| *one == name);
            rows.columns[column] =
                found.ok_or_else(|| rows.wrong(format!("there is no column `{name}`")))?;
        }
        Ok(rows)
    }

    fn next(&mut self) -> Result<Option<Row>, Error> {
        let Some(line) = self.line()? else { return Ok(None) };
        let cells: Vec<&str> = line.split('\t').collect();
        let mut texts = Vec::with_capacity(5);
        for column in self.columns {
            let cell = cells.get(column);
            let cell = cell.ok_or_else(|| self.wrong("the row has too few columns".to_owned()))?;
            texts.push((*cell).to_owned());
        }
        let [name, code, registered, kind, scope] =
            texts.try_into().map_err(|_| self.wrong("five columns".to_owned()))?;
        Ok(Some(Row { name, code, registered, kind, scope }))
    }

    fn line(&mut self) -> Result<Option<String>, Error> {
        let mut line = String::new();
        let read = self.lines.read_line(&mut line).map_err(Error::file(&self.path))?;
        self.number += 1;
        if line.ends_with('\n') {
            line.pop();
        }
        Ok((read > 0).then_some(line))
    }

    fn wrong(&self, what: String) -> Error {
        Error::Content { path: self.path.clone(), line: self.number, what }
    }
}
