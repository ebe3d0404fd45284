//! Deprecated methods without dates. The start checks the dates themselves.

use std::collections::BTreeSet;

use prost_reflect::{DescriptorPool, DynamicMessage};

use crate::Error;

/// Checks that each deprecated method has dates, or its service has them.
///
/// # Errors
/// The first one without.
pub(crate) fn check(pool: &DescriptorPool, generated: &BTreeSet<String>) -> Result<(), Error> {
    for service in pool.services().filter(|service| generated.contains(service.package_name())) {
        let of_service = service.options();
        for method in service.methods() {
            let own = method.options();
            let is_deprecated = [&own, &of_service].iter().any(|options| is_true(options, "deprecated"));
            let has_dates = has_dates(pool, &own, "method") || has_dates(pool, &of_service, "service");
            if is_deprecated && !has_dates {
                let name = method.full_name();
                return Err(Error::new(format!(
                    "{name}: a deprecated method has dates: set `deprecation` in its policy"
                )));
            }
        }
    }
    Ok(())
}

fn is_true(options: &DynamicMessage, name: &str) -> bool {
    options.get_field_by_name(name).is_some_and(|value| value.as_bool() == Some(true))
}

/// Returns whether a policy announces an end. A contract without policies needs none.
fn has_dates(pool: &DescriptorPool, options: &DynamicMessage, policy: &str) -> bool {
    let Some(policy) = pool.get_extension_by_name(&format!("mainstay.policy.v1.{policy}")) else { return true };
    let policy = options.get_extension(&policy);
    policy.as_message().is_some_and(|policy| policy.has_field_by_name("deprecation"))
}
