// Defines a type that another plugin defines as well.
#include "backplane/plugin.hpp"
#include "card.hpp"

BACKPLANE_PLUGIN("fixture.twin", "1.0.0", "Apache-2.0", kDevice, "", fixture::Card)
