//! Who makes a call: a person with a session, or a department's system with its certificate.

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev};

use super::error::Problem;
use crate::{
    Hub,
    login::Person,
    reuse::{Clerk, Who},
    tls::Caller,
};

/// The one who calls. A session counts before a certificate; a call with a session that changes something carries its
/// token ([`Person`]).
#[derive(Clone, Debug)]
pub enum CalledBy {
    /// A person.
    Person(Person),
    /// A department's system.
    Department(Caller),
}

impl FromRequest for CalledBy {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let has_session = request.extensions().contains::<Person>();
        std::future::ready(if has_session {
            Person::from_request(request, payload).into_inner().map(Self::Person)
        } else {
            Caller::from_request(request, payload).into_inner().map(Self::Department)
        })
    }
}

impl CalledBy {
    /// Everyone the caller may be here: a person acts for each of their holders, and at their window as a clerk.
    #[must_use]
    pub fn everyone(&self, hub: &Hub) -> Vec<Who> {
        match self {
            Self::Department(caller) => vec![Who::Department(caller.clone())],
            Self::Person(person) => {
                let holders = person.account.holders.iter().filter(|one| person.acts_for(one));
                let as_holder = |holder: &licence::HolderId| Who::Holder {
                    person: person.clone(),
                    holder: holder.clone(),
                };
                let clerk = Clerk::of(hub, person).map(Who::Clerk);
                holders.map(as_holder).chain(clerk).collect()
            }
        }
    }

    /// The department that calls, by its system or a clerk.
    ///
    /// # Errors
    /// `department_required`.
    pub fn department(&self, hub: &Hub) -> Result<Who, Problem> {
        self.everyone(hub).into_iter().find(|who| who.department().is_some()).ok_or_else(|| {
            Problem::forbidden(
                "department_required",
                "this call is for a department: its system, or a clerk at one of its nodes",
            )
        })
    }
}

/// The holder a person acts for in this call, by place in their list: 0 is the person themself. No number is written into an
/// address.
///
/// # Errors
/// `holder_required`.
pub fn acting_for(person: &Person, place: usize) -> Result<Who, Problem> {
    let holder = person.account.holders.get(place).filter(|holder| person.acts_for(holder));
    match holder {
        Some(holder) => Ok(Who::Holder { person: person.clone(), holder: holder.clone() }),
        None => Err(Problem::forbidden(
            "holder_required",
            "this call is for a holder: log in as an applicant; `holder` is the place in the list of \
             those you act for, from 0",
        )),
    }
}
