-- The health of a claim, for Argo CD, which knows nothing of kinds that you define yourself.
local health = { status = "Progressing", message = "waiting for Berth" }

local status = obj.status
if status == nil or status.conditions == nil then
  return health
end

local said = {}
for _, condition in ipairs(status.conditions) do
  said[condition.type] = condition
end
local synced, ready = said["Synced"], said["Ready"]

if obj.metadata.deletionTimestamp ~= nil then
  health.message = "being deleted"
elseif synced ~= nil and synced.observedGeneration ~= nil and obj.metadata.generation ~= nil
    and synced.observedGeneration < obj.metadata.generation then
  health.message = "the last change was not looked at yet"
elseif synced ~= nil and synced.status == "False" then
  health.message = synced.message
  if synced.reason == "ReconcilePaused" then
    health.status = "Suspended"
  else
    health.status = "Degraded"
  end
elseif ready ~= nil and ready.status == "True" then
  health.status = "Healthy"
  health.message = ready.message
elseif ready ~= nil then
  health.message = ready.message
  if ready.reason == "Unavailable" then
    health.status = "Degraded"
  end
end
return health
