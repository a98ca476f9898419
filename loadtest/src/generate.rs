//! `loadtest generate`: a synthetic district as a folder that a hub can serve and import.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use certs::SigningIdentity;
use district::{Department, District, DistrictSize};

use crate::{
    error::{Error, write},
    folder::{BatchWriter, Folder},
    pulls::PullLine,
};

/// Pulls in the list for `loadtest drive`.
const PULLS: u64 = 20_000;

/// Arguments of `loadtest generate`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder to write; made if it is missing.
    #[arg(long)]
    out: PathBuf,
    /// The same seed gives the same bytes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Licences; all types in their natural proportions.
    #[arg(long, default_value_t = 6_000)]
    licences: u64,
    /// Persons; fitting the number of licences if left out.
    #[arg(long)]
    persons: Option<u64>,
    /// Enterprises; likewise.
    #[arg(long)]
    enterprises: Option<u64>,
    /// Investment projects; likewise.
    #[arg(long)]
    projects: Option<u64>,
    /// Licences in a signed batch.
    #[arg(long, default_value_t = 10_000)]
    batch: usize,
}

/// Writes the folder and says what is in it.
pub fn run(arguments: &Arguments) -> Result<(), Error> {
    let fitting = DistrictSize::for_licences(arguments.licences);
    let size = DistrictSize {
        persons: arguments.persons.unwrap_or(fitting.persons),
        enterprises: arguments.enterprises.unwrap_or(fitting.enterprises),
        projects: arguments.projects.unwrap_or(fitting.projects),
        licences: arguments.licences,
    };
    if !size.is_possible() {
        return Err(Error::Argument(format!(
            "a district has at most {} persons, {} enterprises, {} projects, {} licences",
            district::MAX_PERSONS,
            district::MAX_ENTERPRISES,
            district::MAX_PROJECTS,
            district::MAX_LICENCES
        )));
    }
    if !(1..=certs::MAX_MANIFEST_LICENCES).contains(&arguments.batch) {
        return Err(Error::Argument("--batch is 1 to 100000".to_owned()));
    }
    let district = District::new(arguments.seed, size);
    let folder = generate(&arguments.out, arguments.seed, &district, arguments.batch)?;
    println!(
        "{} licences of {} persons, {} enterprises and {} projects",
        district.licence_count(),
        size.persons,
        size.enterprises,
        size.projects
    );
    println!("serve it:  hub serve --config {}", folder.settings().display());
    for department in district::issuing_departments() {
        let (identity, key) = folder.client(&department);
        println!(
            "import:    hub import {} --to https://localhost:8443 --identity {} --key {} --ca {}",
            folder.import(&department).display(),
            identity.display(),
            key.display(),
            folder.ca().display()
        );
    }
    Ok(())
}

/// Writes a district into a folder, each issuing department's licences as signed batches of at
/// most `batch`. Memory is bounded by the batches that are open.
///
/// # Errors
/// `File`, or what signing says.
pub fn generate(
    root: &Path,
    seed: u64,
    district: &District,
    batch: usize,
) -> Result<Folder, Error> {
    let (folder, authority) = Folder::set_up(root, seed)?;
    let issuers: Vec<(Department, SigningIdentity)> = district::issuing_departments()
        .into_iter()
        .map(|department| Ok((department.clone(), authority.issuer(&department)?)))
        .collect::<Result<_, Error>>()?;
    let mut writers = issuers
        .iter()
        .map(|(department, identity)| {
            BatchWriter::new(folder.import(department), identity, &department.code, batch)
        })
        .collect::<Result<Vec<_>, _>>()?;
    for licence in district.licences() {
        let of_issuer = issuers
            .iter()
            .position(|(department, _)| department.code == *licence.issuer.credit_code())
            .expect("every type has an issuing department");
        writers[of_issuer].push(&licence.to_bytes())?;
    }
    for writer in writers {
        writer.finish()?;
    }
    let mut pulls = String::new();
    let count = district.licence_count();
    // Every n-th licence: the order is mixed, so this is a fair sample.
    let step = count.div_ceil(PULLS).max(1);
    for index in (0..count).step_by(usize::try_from(step).unwrap_or(usize::MAX)) {
        let _ = writeln!(pulls, "{}", PullLine::from(district.pull(index)));
    }
    write(&folder.pulls(), format!("{}\n{pulls}", PullLine::HEADER))?;
    Ok(folder)
}
