//! Commands that were not carried out, as statuses.

use super::invalid;
use crate::incident::CommandError;
use tonic::Status;

/// Resources that an error names.
const NAMED: usize = 20;

pub(super) fn refused(error: &CommandError) -> Status {
    match error {
        CommandError::NoSuchIncident(_) => Status::not_found(error.to_string()),
        CommandError::WrongState { .. }
        | CommandError::WentOn(..)
        | CommandError::CauseIsSet(_)
        | CommandError::IsArea(..)
        | CommandError::IsDeclared(..)
        | CommandError::CauseNotSet(_) => Status::failed_precondition(error.to_string()),
        CommandError::SameIncident(into) => invalid("into", &into.to_string(), "another incident"),
        CommandError::NoSurvivor(into) => invalid(
            "into",
            &into.to_string(),
            "an incident that exists and is open",
        ),
        CommandError::SurvivorWentOn(into, other) => {
            let expected = format!("an open incident; this one went on in {other}");
            invalid("into", &into.to_string(), &expected)
        }
        CommandError::SurvivorClosed { incident, state } => {
            let expected = format!("an open incident; this one is {}", state.as_str());
            invalid("into", &incident.to_string(), &expected)
        }
        CommandError::UnknownResource(resource) => invalid(
            "resources",
            resource,
            "ids of elements, links or groups of the network",
        ),
        CommandError::NotItsResource {
            resource,
            resources,
            ..
        } => {
            let mut expected = format!(
                "some of: {}",
                resources[..resources.len().min(NAMED)].join(", ")
            );
            if resources.len() > NAMED {
                expected.push_str(", ...");
            }
            invalid("resources", resource, &expected)
        }
        CommandError::NothingLeft(_) => invalid(
            "resources",
            "",
            "some of the resources of the cause: nothing would be left of the incident",
        ),
        CommandError::OnlyTogether { subscribers, .. } => {
            let expected = format!(
                "resources that cut people off by themselves: {subscribers} subscribers are \
                 without service only because these and the others failed"
            );
            invalid("resources", "", &expected)
        }
    }
}
